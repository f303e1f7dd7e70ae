"use strict";
// Fingers, mouse and wheel, told apart: swipe through slices, pinch, move, or draw.

const SWIPE = 12; // points of movement for one slice
const NOTCH = 30; // of the wheel

// `act`: step(by), zoomAt(factor, point), move(x, y), and draw(phase, point) while `drawing()` is true.
export function listen(stage, act, drawing) {
  const down = new Map(); // pointer → last point
  let swiped = 0;
  let turned = 0;
  let mode = "";

  const pointOf = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = (points) => ({ x: (points[0].x + points[1].x) / 2, y: (points[0].y + points[1].y) / 2 });
  const apart = (points) => Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y);

  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, pointOf(event));
    if (mode === "draw") act.draw("end");
    if (down.size > 1) mode = "pinch";
    else if (event.button === 1 || event.shiftKey) mode = "move";
    else mode = drawing() ? "draw" : "swipe";
    swiped = 0;
    if (mode === "draw") act.draw("begin", pointOf(event));
  });
  stage.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const points = () => [...down.values()].slice(0, 2);
    const former = mode === "pinch" ? points() : [];
    const now = pointOf(event);
    down.set(event.pointerId, now);
    if (mode === "draw") act.draw("reach", now);
    if (mode === "move") act.move(now.x - before.x, now.y - before.y);
    if (mode === "swipe") {
      swiped += now.y - before.y;
      while (Math.abs(swiped) >= SWIPE) { act.step(Math.sign(swiped)); swiped -= SWIPE * Math.sign(swiped); }
    }
    if (mode === "pinch" && former.length === 2) {
      const [from, to] = [middle(former), middle(points())];
      act.move(to.x - from.x, to.y - from.y);
      if (apart(former) > 0) act.zoomAt(apart(points()) / apart(former), to);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      down.delete(event.pointerId);
      if (mode === "draw") act.draw("end");
      // A finger that stays after a pinch must not begin to swipe.
      mode = down.size ? "done" : "";
    });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) { act.zoomAt(Math.exp(-event.deltaY / 200), pointOf(event)); return; }
    turned += event.deltaMode === 0 ? event.deltaY : event.deltaY * NOTCH;
    while (Math.abs(turned) >= NOTCH) { act.step(Math.sign(turned)); turned -= NOTCH * Math.sign(turned); }
  }, { passive: false });
}
