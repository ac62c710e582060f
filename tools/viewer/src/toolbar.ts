/** The viewer's buttons; all state is the viewer's, and `update` shows it. */

export type Tool = "pan" | "polygon" | "brush" | "eraser";

export interface State {
  heat: boolean; // whether there is a heat map
  opacity: number;
  drawable: boolean;
  tool: Tool;
  brush: number; // diameter in image pixels
  type: string;
  types: string[];
  open: boolean; // something is drawn and not kept yet
}

export interface Actions {
  zoom(factor: number): void;
  fit(): void;
  set(values: Partial<State>): void;
  undo(): void;
  keep(): void;
  discard(): void;
}

const TOOLS: [Tool, string][] = [
  ["pan", "Move"],
  ["polygon", "Polygon"],
  ["brush", "Brush"],
  ["eraser", "Eraser"],
];

let lists = 0;

/** Make an element with properties and children. */
function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  values: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), values);
  element.append(...children);
  return element;
}

function button(text: string, press: () => void, name = text): HTMLButtonElement {
  return make("button", { type: "button", ariaLabel: name, title: name, onclick: press }, text);
}

function range(min: string, max: string, step: string, changed: (value: number) => void): HTMLInputElement {
  const input = make("input", { type: "range", min, max, step });
  input.oninput = () => changed(+input.value);
  return input;
}

/** Make the toolbar; return it and the function that shows a state. */
export function toolbar(act: Actions): [HTMLElement, (state: State) => void] {
  const opacity = range("0", "1", "0.05", (value) => act.set({ opacity: value }));
  const brush = range("1", "200", "1", (value) => act.set({ brush: value }));
  const list = make("datalist", { id: `flawmap-types-${++lists}` });
  const type = make("input", { maxLength: 60, oninput: () => act.set({ type: type.value }) });
  type.setAttribute("list", list.id);
  const heat = make("label", {}, "Heat", opacity);
  const width = make("label", {}, "Width", brush);
  const tools = TOOLS.map(([tool, name]) => button(name, () => act.set({ tool })));
  const undo = button("Take back", () => act.undo(), "Take back the last stroke");
  const discard = button("Discard", () => act.discard());
  const keep = button("Keep", () => act.keep());
  keep.className = "primary";
  const drawing = make("span", {}, make("label", {}, "Type", type, list), width, undo, discard, keep);
  const bar = make(
    "div",
    { className: "tools", role: "group", ariaLabel: "Viewer" },
    button("−", () => act.zoom(0.8), "Zoom out"),
    button("+", () => act.zoom(1.25), "Zoom in"),
    button("Whole", () => act.fit(), "Whole image"),
    heat,
    ...tools,
    drawing,
  );
  let shown = "";
  const update = (state: State): void => {
    heat.hidden = !state.heat;
    opacity.value = `${state.opacity}`;
    brush.value = `${state.brush}`;
    if (type.value !== state.type) type.value = state.type;
    tools.forEach((one, index) => {
      one.hidden = !state.drawable;
      one.ariaPressed = `${state.tool === TOOLS[index][0]}`;
    });
    drawing.hidden = !state.drawable || state.tool === "pan";
    width.hidden = state.tool === "polygon";
    for (const one of [undo, discard, keep]) one.disabled = !state.open;
    if (shown === (shown = state.types.join("\n"))) return;
    list.replaceChildren(...state.types.map((value) => make("option", { value })));
  };
  return [bar, update];
}
