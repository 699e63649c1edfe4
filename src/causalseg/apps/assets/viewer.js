// The page's image: zoom, pan, grey window, mask or causal map, brush and eraser with undo.
// Runs inside gradio's HTML component: `element` is its root, `props.value` what `viewer.show`
// made in Python, and `trigger('corrected', ...)` tells Python of a stroke's end.
const stage = element.querySelector(".viewer-stage");
const canvas = stage.querySelector("canvas");
const legend = element.querySelector(".viewer-legend");
const paint = canvas.getContext("2d");
const COLOURS = [[213, 94, 0], [86, 180, 233]]; // of the first and the second sentence's mask
const UNDO = 30;
const set = { layer: "mask", outline: true, fill: 30, size: 12, level: 128, width: 255 };
let tool = "move", value = null, turn = 0;
let scale = 1, left = 0, top_ = 0; // image to canvas: x * scale + left
let grey = null, windowed = null, map = null, masks = [], layers = [];
let undo = [], redo = [], stroke = null, queued = false;

function sheet(width, height) {
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  return made;
}

async function pixels(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const made = sheet(image.width, image.height);
  const context = made.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { sheet: made, data: context.getImageData(0, 0, image.width, image.height) };
}

async function receive() {
  const mine = ++turn; // A later value overtakes one that is still being decoded.
  const next = props.value;
  if (!next || !next.image) {
    value = grey = null;
    masks = [];
    return refresh();
  }
  const found = await Promise.all([pixels(next.image), ...next.masks.map((one) => pixels(one.source))]);
  const drawn = next.map ? (await pixels(next.map.source)).sheet : null;
  if (mine !== turn) return;
  const fresh = !value || value.id !== next.id;
  value = next;
  [grey, map] = [found[0], drawn];
  masks = found.slice(1).map(({ data }) => {
    const inside = new Uint8Array(data.width * data.height);
    for (let i = 0; i < inside.length; i++) inside[i] = data.data[4 * i] > 127 ? 1 : 0;
    return inside;
  });
  layers = masks.map(() => sheet(grey.data.width, grey.data.height));
  undo = [];
  redo = [];
  if (fresh) resetWindow();
  applyWindow();
  masks.forEach((_, number) => colour(number));
  if (fresh) fit();
  if (next.masks.length && set.layer === "image") choose("layer", "mask");
  refresh();
}

function refresh() {
  stage.querySelector(".viewer-empty").hidden = Boolean(value);
  stage.querySelector(".edge-left").textContent = value ? value.left : "";
  stage.querySelector(".edge-right").textContent = value ? value.right : "";
  canvas.setAttribute("aria-label", value ? value.description : "No image yet");
  legend.innerHTML = "";
  if (value && set.layer === "map" && value.map) legendOfMap(value.map);
  else if (value && value.masks.length && set.layer === "mask") value.masks.forEach(legendOfMask);
  else if (value && set.layer === "map") legend.textContent = "No causal map: segment first, with a model that keeps one.";
  for (const button of element.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  element.querySelector("[data-do=undo]").disabled = !undo.length;
  element.querySelector("[data-do=redo]").disabled = !redo.length;
  for (const name of ["brush", "erase"])
    element.querySelector(`[data-tool=${name}]`).disabled = !masks.length;
  stage.dataset.mode = tool;
  stage.dataset.painted = String(undo.length);
  draw();
}

function legendOfMask(one, number) {
  const item = document.createElement("span");
  const patch = document.createElement("i");
  patch.style.background = `rgb(${COLOURS[number].join()})`;
  item.append(patch, ` ${one.label}`);
  legend.append(item);
}

function legendOfMap({ low, high, colours, note }) {
  const bar = document.createElement("i");
  bar.className = "bar";
  bar.style.background = `linear-gradient(to right, ${colours.join()})`;
  legend.append(low.toFixed(2), bar, high.toFixed(2), ` ${note}`);
}

function applyWindow() {
  const { width, height, data } = grey.data;
  const table = new Uint8ClampedArray(256);
  for (let i = 0; i < 256; i++) table[i] = ((i - (set.level - set.width / 2)) / set.width) * 255;
  const shown = new ImageData(width, height);
  for (let i = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) shown.data[i + c] = table[data[i + c]];
    shown.data[i + 3] = 255;
  }
  windowed = windowed && windowed.width === width && windowed.height === height ? windowed : sheet(width, height);
  windowed.getContext("2d").putImageData(shown, 0, 0);
}

function colour(number) {
  const { width, height } = layers[number];
  const [mask, out] = [masks[number], new ImageData(width, height)];
  const alpha = Math.round(2.55 * set.fill);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      const edge = set.outline && (!x || !y || x === width - 1 || y === height - 1 ||
        !mask[i - 1] || !mask[i + 1] || !mask[i - width] || !mask[i + width]);
      out.data.set(COLOURS[number], 4 * i);
      out.data[4 * i + 3] = edge ? 255 : alpha;
    }
  }
  layers[number].getContext("2d").putImageData(out, 0, 0);
}

function draw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => {
    queued = false;
    if (stroke) colour(0);
    paint.setTransform(1, 0, 0, 1, 0, 0);
    paint.clearRect(0, 0, canvas.width, canvas.height);
    if (!value) return;
    paint.setTransform(scale, 0, 0, scale, left, top_);
    paint.imageSmoothingEnabled = scale < 8;
    paint.drawImage(set.layer === "map" && map ? map : windowed, 0, 0);
    if (set.layer === "mask") layers.forEach((layer) => paint.drawImage(layer, 0, 0));
  });
}

function fit() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(stage.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(stage.clientHeight * ratio));
  if (!grey) return;
  const { width, height } = grey.data;
  scale = Math.min(canvas.width / width, canvas.height / height);
  [left, top_] = [(canvas.width - width * scale) / 2, (canvas.height - height * scale) / 2];
  draw();
}

function zoom(factor, x = canvas.width / 2, y = canvas.height / 2) {
  if (!grey) return;
  const next = Math.min(40, Math.max(0.02, scale * factor));
  [left, top_] = [x - ((x - left) * next) / scale, y - ((y - top_) * next) / scale];
  scale = next;
  draw();
}

function resetWindow() {
  choose("level", 128);
  choose("width", 255);
}

function choose(name, to) {
  set[name] = to;
  const field = element.querySelector(`[data-set=${name}]`);
  if (field.type === "checkbox") field.checked = to;
  else field.value = to;
  if (!grey) return;
  if (name === "level" || name === "width") applyWindow();
  if (name === "fill" || name === "outline") masks.forEach((_, number) => colour(number));
  refresh();
}

function use(name) {
  if (name !== "move" && !masks.length) return;
  tool = name;
  if (name !== "move") set.layer === "mask" || choose("layer", "mask");
  refresh();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
}

function disc(x, y) {
  const { width, height } = grey.data;
  const radius = set.size / 2, add = tool === "brush" ? 1 : 0;
  for (let v = Math.max(0, Math.ceil(y - radius)); v <= Math.min(height - 1, y + radius); v++)
    for (let u = Math.max(0, Math.ceil(x - radius)); u <= Math.min(width - 1, x + radius); u++)
      if ((u - x) ** 2 + (v - y) ** 2 <= radius ** 2) masks[0][v * width + u] = add;
}

function line(from, to) {
  const steps = Math.max(1, Math.ceil((2 * Math.hypot(to[0] - from[0], to[1] - from[1])) / set.size));
  for (let i = 0; i <= steps; i++)
    disc(from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps);
}

function report() {
  const { width, height } = grey.data;
  const out = new ImageData(width, height);
  for (let i = 0; i < masks[0].length; i++) out.data.fill(masks[0][i] ? 255 : 0, 4 * i, 4 * i + 3), (out.data[4 * i + 3] = 255);
  const made = sheet(width, height);
  made.getContext("2d").putImageData(out, 0, 0);
  trigger("corrected", { id: value.id, mask: made.toDataURL("image/png") });
}

function step(from, to) {
  if (!from.length) return;
  to.push(masks[0].slice());
  masks[0] = from.pop();
  colour(0);
  refresh();
  report();
}

const deeds = {
  in: () => zoom(1.25), out: () => zoom(0.8), fit, window: resetWindow,
  undo: () => step(undo, redo), redo: () => step(redo, undo),
};
const keys = {
  "+": deeds.in, "=": deeds.in, "-": deeds.out, 0: fit, z: deeds.undo, y: deeds.redo,
  h: () => use("move"), b: () => use("brush"), e: () => use("erase"),
  m: () => choose("layer", set.layer === "mask" ? "image" : "mask"),
  "[": () => choose("size", Math.max(1, set.size - 2)), "]": () => choose("size", Math.min(60, set.size + 2)),
  ArrowLeft: () => ((left += 40), draw()), ArrowRight: () => ((left -= 40), draw()),
  ArrowUp: () => ((top_ += 40), draw()), ArrowDown: () => ((top_ -= 40), draw()),
};

element.addEventListener("click", ({ target }) => {
  if (target.dataset.tool) use(target.dataset.tool);
  if (target.dataset.do) deeds[target.dataset.do]();
});
element.addEventListener("input", ({ target }) => {
  const { set: name } = target.dataset;
  if (name) choose(name, target.type === "checkbox" ? target.checked : target.type === "range" ? Number(target.value) : target.value);
});
stage.addEventListener("keydown", (event) => {
  const deed = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!deed || event.altKey || event.metaKey || (event.ctrlKey && !"zy".includes(event.key))) return;
  event.preventDefault();
  deed();
});
stage.addEventListener("wheel", (event) => {
  if (!value) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, ...place(event));
}, { passive: false });
stage.addEventListener("contextmenu", (event) => event.preventDefault());
stage.addEventListener("pointerdown", (event) => {
  if (!value || stroke) return;
  stage.setPointerCapture(event.pointerId);
  const at = place(event);
  const painting = event.button === 0 && tool !== "move";
  stroke = { kind: event.button === 2 ? "window" : painting ? "paint" : "move", at, level: set.level, width: set.width };
  if (painting) {
    undo.push(masks[0].slice());
    if (undo.length > UNDO) undo.shift();
    redo = [];
    disc((at[0] - left) / scale, (at[1] - top_) / scale);
    draw();
  }
});
stage.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  const at = place(event);
  if (stroke.kind === "move") [left, top_] = [left + at[0] - stroke.at[0], top_ + at[1] - stroke.at[1]];
  else if (stroke.kind === "paint") {
    const inside = ([x, y]) => [(x - left) / scale, (y - top_) / scale];
    line(inside(stroke.at), inside(at));
  } else {
    stroke.width = Math.min(511, Math.max(1, stroke.width + (at[0] - stroke.at[0]) / 2));
    stroke.level = Math.min(255, Math.max(0, stroke.level + (at[1] - stroke.at[1]) / 2));
    choose("width", Math.round(stroke.width));
    choose("level", Math.round(stroke.level));
  }
  stroke.at = at;
  draw();
});
for (const name of ["pointerup", "pointercancel"])
  stage.addEventListener(name, () => {
    const painted = stroke && stroke.kind === "paint";
    stroke = null;
    if (!painted) return;
    colour(0);
    refresh();
    report();
  });
new ResizeObserver(fit).observe(stage);
watch("value", receive);
receive();
