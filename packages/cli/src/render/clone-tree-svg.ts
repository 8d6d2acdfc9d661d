import { formatByteSize } from "../terminal/byte-size.ts";
import { type CloneTreeNode, layoutTree, nameOf, type PlacedNode } from "./clone-tree-layout.ts";
import { coordinate, ellipsis, escapeXml, svgDocument } from "./svg.ts";

export type { CloneTreeNode } from "./clone-tree-layout.ts";

/** Options of {@link cloneTreeSvg}. */
export interface CloneTreeOptions {
  /** What the trees are of. Defaults to `Clones`. */
  readonly title?: string;
}

const boxWidth = 200;
const boxHeight = 46;
const columnStep = boxWidth + 44;
const rowStep = boxHeight + 14;
const margin = 20;
const top = 72;

const rules: readonly string[] = [
  ".box { fill: var(--surface); stroke: var(--line); stroke-width: 1.5; }",
  ".root { fill: var(--tint); stroke: var(--data); }",
  ".gone { stroke: var(--muted); stroke-dasharray: 4 3; }",
  ".name { font-weight: 600; }",
  ".gone-name { fill: var(--muted); font-weight: 600; text-decoration: line-through; }",
  ".edge { fill: none; stroke: var(--muted); stroke-width: 1.5; }",
];

/**
 * Volumes and their clones, as a picture: a parent to the left of its clones, with sizes and depth. A volume that was removed and is kept for its clones is dashed and struck
 * out. Pure.
 */
export function cloneTreeSvg(lineages: readonly CloneTreeNode[], options: CloneTreeOptions = {}): string {
  const { title = "Clones" } = options;
  const { nodes, rows, columns } = layoutTree(lineages);
  const used = lineages.reduce((sum, { allocatedBytes = 0 }) => sum + allocatedBytes, 0);
  const kept = lineages.filter(({ tombstoned }) => tombstoned).length;
  const summary = [
    `${lineages.length} ${lineages.length === 1 ? "volume" : "volumes"}`,
    ...(columns > 0 ? [`depth ${columns}`] : []),
    ...(used > 0 ? [`${formatByteSize(used)} used`] : []),
    ...(kept > 0 ? [`${kept} removed and kept for clones`] : []),
  ].join(" · ");
  const body = [
    `<text class="title" x="${margin}" y="32">${escapeXml(ellipsis(title, 60))}</text>`,
    `<text class="muted" x="${margin}" y="52">${escapeXml(summary)}</text>`,
    ...nodes.flatMap((placed) => placed.children.map((child) => edge(placed, child))),
    ...nodes.map(box),
  ];
  return svgDocument({
    width: Math.max(420, margin * 2 + columns * columnStep - (columnStep - boxWidth)),
    height: top + Math.max(0, rows * rowStep - (rowStep - boxHeight)) + margin,
    title: `${title}: a tree of clones`,
    description: `${summary}. ${nodes.slice(0, 200).map(inWords).join(" ")}`,
    rules,
    body,
  });
}

function placeOf({ column, row }: PlacedNode): { readonly x: number; readonly y: number } {
  return { x: margin + column * columnStep, y: top + row * rowStep };
}

function edge(parent: PlacedNode, child: PlacedNode): string {
  const from = placeOf(parent);
  const to = placeOf(child);
  const [x1, y1] = [from.x + boxWidth, from.y + boxHeight / 2];
  const [x2, y2] = [to.x, to.y + boxHeight / 2];
  const bend = (x1 + x2) / 2;
  const points = [x1, y1, bend, y1, bend, y2, x2, y2].map(coordinate);
  return `<path class="edge" d="M${points[0]} ${points[1]}C${points.slice(2).join(" ")}"/>`;
}

function box(placed: PlacedNode): string {
  const { node, column } = placed;
  const { x, y } = placeOf(placed);
  const kind = node.tombstoned ? "box gone" : column === 0 ? "box root" : "box";
  const name = escapeXml(ellipsis(nameOf(node), 24));
  return [
    `<g><title>${escapeXml(inWords(placed))}</title>`,
    `<rect class="${kind}" x="${coordinate(x)}" y="${coordinate(y)}" width="${boxWidth}" height="${boxHeight}" rx="6"/>`,
    `<text class="${node.tombstoned ? "gone-name" : "name"}" x="${coordinate(x + 12)}" y="${coordinate(y + 19)}">${name}</text>`,
    `<text class="muted" x="${coordinate(x + 12)}" y="${coordinate(y + 36)}">${escapeXml(sizesOf(node))}</text></g>`,
  ].join("");
}

function sizesOf({ capacityBytes, allocatedBytes, tombstoned, depth }: CloneTreeNode): string {
  const sizes = [
    // There is room for two; all of it is in the words.
    ...(tombstoned ? ["removed"] : capacityBytes === undefined ? [] : [formatByteSize(capacityBytes)]),
    ...(allocatedBytes === undefined ? [] : [`${formatByteSize(allocatedBytes)} own`]),
  ];
  return sizes.length === 0 ? `depth ${depth}` : sizes.join(" · ");
}

function inWords({ node, children }: PlacedNode): string {
  const { capacityBytes, allocatedBytes, tombstoned, depth } = node;
  const facts = [
    `depth ${depth}`,
    ...(capacityBytes === undefined ? [] : [`size ${formatByteSize(capacityBytes)}`]),
    ...(allocatedBytes === undefined ? [] : [`${formatByteSize(allocatedBytes)} of its own`]),
    ...(tombstoned ? ["removed, and kept for its clones"] : []),
    ...(children.length === 0 ? [] : [`clones: ${children.map((child) => nameOf(child.node)).join(", ")}`]),
  ];
  return `${nameOf(node)}: ${facts.join(", ")}.`;
}
