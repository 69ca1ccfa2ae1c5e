// Cases with MQTT.js, run by mqtt_js.rs: node mqtt_js_client.js CASE URL LEVEL CA
//
// A case fails by an exception; so does one that does not end in time.

'use strict'

const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const fs = require('node:fs')
const { once } = require('node:events')
const mqtt = require('mqtt')

const DEADLINE_MS = 60_000

const [caseName, url, level, caFile] = process.argv.slice(2)

async function connect (clientId, options = {}) {
  const client = mqtt.connect(url, {
    clientId,
    protocolVersion: Number(level),
    ca: url.startsWith('wss:') ? fs.readFileSync(caFile) : undefined,
    reconnectPeriod: 10,
    ...options
  })
  client.received = []
  client.on('message', (topic, payload, packet) => client.received.push({ topic, payload, packet }))
  client.on('error', (error) => { throw error })
  const [connack] = await once(client, 'connect')
  client.connack = connack
  return client
}

async function message (client) {
  while (client.received.length === 0) await once(client, 'message')
  return client.received.shift()
}

async function everyQos () {
  const receiver = await connect('receiver')
  const sender = await connect('sender')
  const granted = await receiver.subscribeAsync('every/+', { qos: 2 })
  assert.equal(granted[0].qos, 2)
  for (const qos of [0, 1, 2]) {
    await sender.publishAsync(`every/${qos}`, `payload ${qos}`, { qos })
    const { topic, payload, packet } = await message(receiver)
    assert.deepEqual([topic, payload.toString(), packet.qos], [`every/${qos}`, `payload ${qos}`, qos])
  }
  await sender.endAsync()
  await receiver.endAsync()
}

async function largePayload () {
  const receiver = await connect('receiver')
  const sender = await connect('sender')
  await receiver.subscribeAsync('parcels', { qos: 2 })
  for (const qos of [0, 1, 2]) {
    const sent = crypto.randomBytes(300 * 1024)
    await sender.publishAsync('parcels', sent, { qos })
    const { payload } = await message(receiver)
    assert.ok(payload.equals(sent), 'the payload has changed')
  }
  await sender.endAsync()
  await receiver.endAsync()
}

async function reconnect () {
  const kept = { clean: false, properties: level === '5' ? { sessionExpiryInterval: 3600 } : undefined }
  const receiver = await connect('receiver', { ...kept, resubscribe: false, reconnectPeriod: 0 })
  assert.equal(receiver.connack.sessionPresent, false)
  const sender = await connect('sender')
  await receiver.subscribeAsync('night', { qos: 1 })
  for (let round = 0; round < 3; round++) {
    // The connection is cut without a DISCONNECT.
    receiver.stream.destroy()
    await once(receiver, 'close')
    await sender.publishAsync('night', `missed ${round}`, { qos: 1 })
    receiver.reconnect()
    const [connack] = await once(receiver, 'connect')
    assert.equal(connack.sessionPresent, true)
    const { payload } = await message(receiver)
    assert.equal(payload.toString(), `missed ${round}`)
  }
  // A client that reconnects by itself subscribes again by itself.
  const careless = await connect('careless')
  await careless.subscribeAsync('day', { qos: 1 })
  careless.stream.destroy()
  await once(careless, 'connect')
  await careless.subscribeAsync('ready', { qos: 0 })
  await sender.publishAsync('day', 'back', { qos: 1 })
  assert.equal((await message(careless)).payload.toString(), 'back')
  await Promise.all([sender.endAsync(), receiver.endAsync(), careless.endAsync()])
}

const cases = { everyQos, largePayload, reconnect }

const watchdog = setTimeout(() => { throw new Error(`${caseName} does not end`) }, DEADLINE_MS)
cases[caseName]().then(() => {
  clearTimeout(watchdog)
  console.log('passed')
})
