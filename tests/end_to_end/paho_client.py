"""Cases with paho-mqtt, run by paho.rs: python paho_client.py CASE PORT CA.

A case fails by an exception. Callbacks put events into a queue, and the case waits for them there.
"""

import queue
import sys
import threading

try:
    import paho.mqtt.client as mqtt
except ImportError:
    sys.exit("paho-mqtt is not there: `cargo xtask test` installs what the end-to-end tests need")
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

DEADLINE_S = 60


class Client:
    """A client whose network runs in a thread of its own."""

    def __init__(self, port, identifier, version, transport="tcp", ca=None, properties=None, clean=True):
        arguments = {"clean_session": clean} if version != mqtt.MQTTv5 else {}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=identifier,
            protocol=version,
            transport=transport,
            **arguments,
        )
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if ca is not None:
            self.client.tls_set(ca_certs=ca)
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        self.disconnected = threading.Event()
        self.messages = queue.Queue()
        self.client.on_connect = lambda client, userdata, flags, reason, properties: self.connected.put(
            (reason, flags, properties)
        )
        self.client.on_subscribe = lambda client, userdata, mid, reasons, properties: self.subscribed.put(reasons)
        self.client.on_disconnect = lambda *arguments: self.disconnected.set()
        self.client.on_message = lambda client, userdata, message: self.messages.put(message)
        options = {"clean_start": clean, "properties": properties} if version == mqtt.MQTTv5 else {}
        self.client.connect("127.0.0.1", int(port), keepalive=30, **options)
        self.client.loop_start()
        reason, self.flags, self.connack = self.connected.get(timeout=DEADLINE_S)
        check(not reason.is_failure, f"the connection was refused: {reason}")

    def subscribe(self, *arguments, **named):
        self.client.subscribe(*arguments, **named)
        reasons = self.subscribed.get(timeout=DEADLINE_S)
        check(all(not reason.is_failure for reason in reasons), f"a subscription was refused: {reasons}")

    def publish(self, topic, payload, qos=0, **named):
        info = self.client.publish(topic, payload, qos, **named)
        info.wait_for_publish(DEADLINE_S)
        check(info.is_published(), f"{topic} was not acknowledged")

    def message(self):
        return self.messages.get(timeout=DEADLINE_S)

    def close(self):
        self.client.disconnect()
        check(self.disconnected.wait(DEADLINE_S), "no end of the connection")
        self.client.loop_stop()


def check(condition, explanation):
    if not condition:
        raise AssertionError(explanation)


def equal(found, expected):
    check(found == expected, f"{found!r} instead of {expected!r}")


def properties(packet_type, **values):
    result = Properties(packet_type)
    for name, value in values.items():
        setattr(result, name, value)
    return result


def exchange(port, version, **named):
    receiver = Client(port, "receiver", version, **named)
    sender = Client(port, "sender", version, **named)
    receiver.subscribe("every/+", 2)
    for qos in (0, 1, 2):
        sender.publish(f"every/{qos}", f"payload {qos}", qos)
        message = receiver.message()
        equal((message.topic, message.payload, message.qos), (f"every/{qos}", f"payload {qos}".encode(), qos))
        check(not message.retain and not message.dup, "an ordinary message")
    sender.close()
    receiver.close()


def every_qos_v311(port, ca):
    exchange(port, mqtt.MQTTv311)


def every_qos_v5(port, ca):
    exchange(port, mqtt.MQTTv5)


def over_websocket(port, ca):
    exchange(port, mqtt.MQTTv5, transport="websockets")
    exchange(port, mqtt.MQTTv311, transport="websockets")


def over_tls(port, ca):
    exchange(port, mqtt.MQTTv5, ca=ca)
    exchange(port, mqtt.MQTTv311, ca=ca)


def over_secure_websocket(port, ca):
    exchange(port, mqtt.MQTTv5, transport="websockets", ca=ca)
    exchange(port, mqtt.MQTTv311, transport="websockets", ca=ca)


# spec(v5): [MQTT-4.6.0-5]
# spec(v3.1.1): [MQTT-4.6.0-5]
def qos2_once_and_in_order(port, ca):
    count = 500
    receivers = [
        Client(port, f"receiver-{name}", version) for name, version in (("4", mqtt.MQTTv311), ("5", mqtt.MQTTv5))
    ]
    for receiver in receivers:
        receiver.subscribe("numbers", 2)
    sender = Client(port, "sender", mqtt.MQTTv5)
    infos = [sender.client.publish("numbers", str(number), 2) for number in range(count)]
    for info in infos:
        info.wait_for_publish(DEADLINE_S)
        check(info.is_published(), "a message was not acknowledged")
    sender.publish("numbers", "end", 2)
    for receiver in receivers:
        found = [receiver.message().payload.decode() for _ in range(count + 1)]
        equal(found, [str(number) for number in range(count)] + ["end"])


# spec(v5): [MQTT-3.3.2-4] [MQTT-3.3.2-6] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
def properties_of_a_message(port, ca):
    receiver = Client(port, "receiver", mqtt.MQTTv5)
    receiver.subscribe("letters", 1)
    sender = Client(port, "sender", mqtt.MQTTv5)
    user_properties = [("z", "1"), ("a", "2"), ("z", "3"), ("", "empty name"), ("ü", "ö")]
    sent = properties(
        PacketTypes.PUBLISH,
        PayloadFormatIndicator=1,
        MessageExpiryInterval=1000,
        ContentType="text/plain",
        ResponseTopic="answers/1",
        CorrelationData=b"\x00\x01\xff",
    )
    # paho appends a pair at each assignment.
    for pair in user_properties:
        sent.UserProperty = pair
    sender.publish("letters", "grüße", 1, properties=sent)
    message = receiver.message()
    equal(message.payload.decode(), "grüße")
    received = message.properties
    equal(received.PayloadFormatIndicator, 1)
    check(900 <= received.MessageExpiryInterval <= 1000, f"{received.MessageExpiryInterval} s are left")
    equal(received.ContentType, "text/plain")
    equal(received.ResponseTopic, "answers/1")
    equal(received.CorrelationData, b"\x00\x01\xff")
    equal(received.UserProperty, user_properties)


# spec(v5): [MQTT-3.3.2-12]
def topic_aliases(port, ca):
    receiver = Client(port, "receiver", mqtt.MQTTv5)
    receiver.subscribe("a/long/topic/#", 1)
    sender = Client(port, "sender", mqtt.MQTTv5)
    maximum = sender.connack.TopicAliasMaximum
    check(maximum >= 1, "the broker takes aliases")
    for alias in (1, maximum):
        topic = f"a/long/topic/{alias}"
        sender.publish(topic, "first", 1, properties=properties(PacketTypes.PUBLISH, TopicAlias=alias))
        sender.publish("", "second", 1, properties=properties(PacketTypes.PUBLISH, TopicAlias=alias))
        for payload in (b"first", b"second"):
            message = receiver.message()
            equal((message.topic, message.payload), (topic, payload))


# spec(v5): [MQTT-3.1.2-5] [MQTT-3.2.2-3]
# spec(v3.1.1): [MQTT-3.1.2-4] [MQTT-3.2.2-2]
def session_resume(port, ca):
    for version, qos in ((mqtt.MQTTv311, 1), (mqtt.MQTTv311, 2), (mqtt.MQTTv5, 1), (mqtt.MQTTv5, 2)):
        never = {}
        if version == mqtt.MQTTv5:
            never = {"properties": properties(PacketTypes.CONNECT, SessionExpiryInterval=3600)}
        identifier = f"sleeper-{int(version)}-{qos}"
        sleeper = Client(port, identifier, version, clean=False, **never)
        check(not sleeper.flags.session_present, "a new session")
        sleeper.subscribe("night/#", 2)
        sleeper.close()
        sender = Client(port, "sender", version)
        for number in range(20):
            sender.publish(f"night/{number}", str(number), qos)
        sender.close()
        sleeper = Client(port, identifier, version, clean=False, **never)
        check(sleeper.flags.session_present, "the session was kept")
        for number in range(20):
            message = sleeper.message()
            equal((message.topic, message.qos), (f"night/{number}", qos))
        sleeper.close()


# spec(v5): [MQTT-3.3.4-3] [MQTT-3.3.4-4]
def subscription_identifiers(port, ca):
    receiver = Client(port, "receiver", mqtt.MQTTv5)
    for identifier, topic in ((1, "house/#"), (268435455, "house/+/lamp"), (3, "garden/#")):
        receiver.subscribe(
            topic,
            options=SubscribeOptions(qos=1),
            properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier),
        )
    sender = Client(port, "sender", mqtt.MQTTv5)
    sender.publish("house/hall/lamp", "on", 1)
    message = receiver.message()
    equal(sorted(message.properties.SubscriptionIdentifier), [1, 268435455])
    sender.publish("garden/tap", "on", 1)
    message = receiver.message()
    equal((message.topic, message.properties.SubscriptionIdentifier), ("garden/tap", [3]))


def request_and_response(port, ca):
    worker = Client(port, "worker", mqtt.MQTTv5)
    worker.subscribe("requests", 1)
    customer = Client(port, "customer", mqtt.MQTTv5)
    customer.subscribe("responses/customer", 1)
    request = properties(PacketTypes.PUBLISH, ResponseTopic="responses/customer", CorrelationData=b"42")
    customer.publish("requests", "6 * 7", 1, properties=request)
    asked = worker.message()
    answer = properties(PacketTypes.PUBLISH, CorrelationData=asked.properties.CorrelationData)
    worker.publish(asked.properties.ResponseTopic, "42", 1, properties=answer)
    answered = customer.message()
    equal((answered.payload, answered.properties.CorrelationData), (b"42", b"42"))


CASES = {
    "every_qos_v311": every_qos_v311,
    "every_qos_v5": every_qos_v5,
    "over_websocket": over_websocket,
    "over_tls": over_tls,
    "over_secure_websocket": over_secure_websocket,
    "qos2_once_and_in_order": qos2_once_and_in_order,
    "properties": properties_of_a_message,
    "topic_aliases": topic_aliases,
    "session_resume": session_resume,
    "subscription_identifiers": subscription_identifiers,
    "request_and_response": request_and_response,
}

if __name__ == "__main__":
    case, port, ca = sys.argv[1:]
    CASES[case](port, ca)
    print("passed")
