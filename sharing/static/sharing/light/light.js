"use strict";
// The light viewer: one series, picture by picture, from the server's rendered frames.
import { listen } from "./gestures.js";
import { Pictures } from "./pictures.js";
import { Ruler } from "./ruler.js";
import { View } from "./view.js";

const root = document.getElementById("light");
const part = (name) => root.querySelector(name);
const [stage, canvas, alarm] = [part(".stage"), part("canvas"), part("[role=alert]")];
const [place, length, range, preset] = [part("#place"), part("#length"), part("#slice"), part("#preset")];
const words = { pixels: root.dataset.pixels, detector: root.dataset.detector };
const view = new View(canvas);
const ruler = new Ruler();
let pictures = new Pictures("", []);
let at = 0;
let direction = 1;
let shown = null; // the picture on the stage
let playing = 0;

const frame = () => pictures.list[at];
const settings = () => ({ window: preset.value, side: view.side });

function say(text) {
  alarm.textContent = text;
  alarm.hidden = !text;
}

function paint() {
  view.paint(shown, (context, toStage) => frame() && ruler.draw(frame(), context, toStage, words));
  length.textContent = frame() ? ruler.newest(frame(), words) : "";
}

async function show(index) {
  if (!pictures.length) return;
  const next = Math.max(0, Math.min(pictures.length - 1, index));
  if (next !== at) direction = Math.sign(next - at);
  at = next;
  range.value = String(at + 1);
  place.textContent = `${at + 1} / ${pictures.length}${frame().key ? ` ★ ${root.dataset.key}` : ""}`;
  const { size, spacing } = frame();
  view.size = size;
  view.aspect = spacing ? spacing[0] / spacing[1] : 1;
  const wanted = settings();
  try {
    const picture = await pictures.load(at, wanted);
    if (next !== at) return;
    shown = picture;
    canvas.dataset.picture = picture.src;
    say("");
    pictures.loadAhead(at, direction, wanted);
  } catch {
    if (next !== at) return;
    shown = null;
    delete canvas.dataset.picture;
    say(root.dataset.failed);
  }
  paint();
}

// After a change of the view: what lies on the stage at once, a sharper picture when one is of use.
function changed() {
  paint();
  show(at);
}

const step = (by) => show(at + by);

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
  return on;
}

const toggle = (button) => press(button, button.getAttribute("aria-pressed") !== "true");

function play(on) {
  window.clearInterval(playing);
  press(part("#play"), on);
  const pause = 1000 / Number(root.dataset.rate);
  playing = on ? window.setInterval(() => show((at + 1) % pictures.length), pause) : 0;
}

const keyImages = () => pictures.list.flatMap(({ key }, index) => (key ? [index] : []));

function nextKeyImage() {
  const found = keyImages();
  if (found.length) show(found.find((index) => index > at) ?? found[0]);
}

const center = () => ({ x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 });
const actions = {
  back: () => step(-1),
  next: () => step(1),
  key: nextKeyImage,
  play: () => play(part("#play").getAttribute("aria-pressed") !== "true"),
  nearer: () => { view.zoomAt(1.25, center()); changed(); },
  farther: () => { view.zoomAt(0.8, center()); changed(); },
  rotate: () => { view.turn(); changed(); },
  mirror: () => { view.mirror(); paint(); },
  invert: () => { view.inverted = toggle(part("#invert")); paint(); },
  measure: () => { stage.classList.toggle("measuring", toggle(part("#measure"))); },
  undo: () => { ruler.undo(frame()); paint(); },
  reset: () => { view.reset(); press(part("#invert"), false); preset.selectedIndex = 0; changed(); },
};

const KEYS = { k: "key", " ": "play", "+": "nearer", "=": "nearer", "-": "farther", r: "rotate", f: "mirror", i: "invert", m: "measure", Backspace: "undo", Escape: "reset" };
const MOVES = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };

function typed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (/^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  if (event.key in MOVES) step(MOVES[event.key]);
  else if (event.key === "Home") show(0);
  else if (event.key === "End") show(pictures.length - 1);
  else if (/^[0-9]$/.test(event.key) && preset.options[Number(event.key)]) {
    preset.selectedIndex = Number(event.key);
    show(at);
  } else if (event.key in KEYS) actions[KEYS[event.key]]();
  else return;
  event.preventDefault();
}

function draw(phase, point) {
  const pixel = point && view.toImage(point);
  if (phase === "begin") ruler.begin(frame(), pixel);
  if (phase === "reach") ruler.reach(frame(), pixel);
  if (phase === "end") ruler.end(frame());
  paint();
}

range.addEventListener("input", () => show(Number(range.value) - 1));
preset.addEventListener("change", () => show(at));
for (const button of root.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => actions[button.dataset.do]());
}
document.addEventListener("keydown", typed);
new ResizeObserver(changed).observe(stage);
listen(stage, {
  step,
  draw,
  zoomAt: (factor, point) => { view.zoomAt(factor, point); changed(); },
  move: (x, y) => { view.move(x, y); paint(); },
}, () => stage.classList.contains("measuring") && Boolean(frame()));

try {
  const answer = await fetch(root.dataset.slices, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  pictures = new Pictures(root.dataset.root, (await answer.json()).slices);
  range.max = String(Math.max(1, pictures.length));
  part("[data-do=key]").hidden = keyImages().length === 0;
  part("#play").hidden = pictures.length < 2;
  if (pictures.length) await show(keyImages()[0] ?? 0);
  else say(root.dataset.empty);
} catch {
  say(root.dataset.failed);
}
