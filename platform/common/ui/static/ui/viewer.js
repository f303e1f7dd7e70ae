"use strict";
// The light viewer: one series, picture by picture, from the server's rendered frames.
(() => {
  const root = document.getElementById("light");
  if (!root) return;
  const image = root.querySelector("img");
  const alarm = root.querySelector("[role=alert]");
  const label = root.querySelector("output");
  const range = root.querySelector("#slice");
  const preset = root.querySelector("#preset");
  const invert = root.querySelector("#invert");
  const stage = root.querySelector(".stage");
  const ahead = 4;
  let pictures = [];
  let at = 0;
  const address = (index) => {
    const { uid, frame, frames } = pictures[index];
    const part = frames > 1 ? `${uid}/frames/${frame}/rendered` : `${uid}/rendered`;
    return root.dataset.root + part + (preset.value ? `?window=${encodeURIComponent(`${preset.value},linear`)}` : "");
  };
  const loaded = new Map(); // address → Image; the browser keeps the bytes, this keeps them decoded
  const load = (index) => {
    const url = address(index);
    let picture = loaded.get(url);
    if (!picture) {
      picture = new Image();
      picture.src = url;
      loaded.set(url, picture);
      if (loaded.size > 60) loaded.delete(loaded.keys().next().value);
    }
    return picture;
  };
  const show = (index) => {
    if (!pictures.length) return;
    at = Math.max(0, Math.min(pictures.length - 1, index));
    range.value = String(at + 1);
    label.textContent = `${at + 1} / ${pictures.length}`;
    alarm.hidden = true;
    const wanted = at;
    const picture = load(wanted);
    picture.decode().then(() => {
      if (wanted !== at) return;
      image.src = picture.src;
      image.hidden = false;
      for (let n = 1; n <= ahead; n += 1) {
        if (at + n < pictures.length) load(at + n).decode().catch(() => {});
      }
    }).catch(() => {
      loaded.delete(picture.src);
      if (wanted === at) say(root.dataset.failed);
    });
  };
  const say = (text) => { alarm.textContent = text; alarm.hidden = false; image.hidden = true; };
  const step = (by) => show(at + by);
  range.addEventListener("input", () => show(Number(range.value) - 1));
  preset.addEventListener("change", () => show(at));
  invert.addEventListener("click", () => {
    const on = stage.classList.toggle("inverted");
    invert.setAttribute("aria-pressed", String(on));
  });
  for (const button of root.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    turned += event.deltaMode === 0 ? event.deltaY : event.deltaY * 30;
    while (Math.abs(turned) >= 30) { step(Math.sign(turned)); turned -= 30 * Math.sign(turned); }
  }, { passive: false });
  let held = null;
  stage.addEventListener("pointerdown", (event) => { held = event.clientY; stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", (event) => {
    if (held === null) return;
    const moved = event.clientY - held;
    if (Math.abs(moved) >= 12) { step(Math.sign(moved)); held = event.clientY; }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { held = null; });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const moves = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    if (event.key in moves) { event.preventDefault(); step(moves[event.key]); }
    if (event.key === "Home") { event.preventDefault(); show(0); }
    if (event.key === "End") { event.preventDefault(); show(pictures.length - 1); }
    if (event.key === "i") invert.click();
    if (/^[0-9]$/.test(event.key) && preset.options[Number(event.key)]) { preset.selectedIndex = Number(event.key); show(at); }
  });
  fetch(root.dataset.slices, { headers: { Accept: "application/json" } })
    .then((answer) => { if (!answer.ok) throw new Error(String(answer.status)); return answer.json(); })
    .then((found) => {
      pictures = found.slices.flatMap(({ uid, frames }) => Array.from({ length: frames }, (_, n) => ({ uid, frame: n + 1, frames })));
      range.max = String(Math.max(1, pictures.length));
      if (pictures.length) show(0); else say(root.dataset.empty);
    })
    .catch(() => say(root.dataset.failed));
})();
