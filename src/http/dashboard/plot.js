// Small plots of the last minutes, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 100;

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A plot of up to two courses of equal length on one scale from 0; `room` is how many points it has room for. */
export function plot(label, courses, room) {
  const top = Math.max(1e-12, ...courses.flat().filter(Number.isFinite)) * 1.08;
  const picture = svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  for (const share of [0, 0.5, 1]) {
    const y = HEIGHT - share * (HEIGHT - 2) - 1;
    picture.append(svg("line", { x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  courses.forEach((course, index) => {
    const step = WIDTH / (room - 1);
    const start = WIDTH - (course.length - 1) * step;
    const at = (value) => HEIGHT - ((Number.isFinite(value) ? value : 0) / top) * (HEIGHT - 2) - 1;
    const points = course.map((value, place) => `${(start + place * step).toFixed(1)},${at(value).toFixed(1)}`);
    if (index === 0 && points.length > 1) {
      picture.append(svg("polygon", { class: "area", points: `${start.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }));
    }
    picture.append(svg("polyline", { class: `line-${index + 1}`, points: points.join(" ") }));
  });
  return picture;
}
