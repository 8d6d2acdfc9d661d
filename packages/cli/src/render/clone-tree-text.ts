import { formatByteSize } from "../terminal/byte-size.ts";
import { createStyle, type Style } from "../terminal/style.ts";
import { formatTable } from "../terminal/table.ts";
import { printable } from "../terminal/printable.ts";
import { type CloneTreeNode, layoutTree, nameOf, type PlacedNode } from "./clone-tree-layout.ts";

/** Volumes and their clones, as lines: clones below their parent, with depth and sizes. Pure. */
export function cloneTreeText(lineages: readonly CloneTreeNode[], style: Style = createStyle(false)): string {
  const waiting = layoutTree(lineages)
    .roots.toReversed()
    .map((placed) => ({ placed, lead: "", branch: "" }));
  const rows: string[][] = [];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { placed, lead, branch } = next;
    rows.push(rowOf(placed, style.dim(lead + branch), style));
    const inner = branch === "" ? "" : lead + (branch === "└─ " ? "   " : "│  ");
    for (const [index, child] of [...placed.children.entries()].toReversed()) {
      const last = index === placed.children.length - 1;
      waiting.push({ placed: child, lead: inner, branch: last ? "└─ " : "├─ " });
    }
  }
  return formatTable(
    [
      { title: "VOLUME" },
      { title: "DEPTH", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "OWN", align: "right" },
      { title: "" },
    ],
    rows,
    style.dim,
  );
}

function rowOf({ node, column }: PlacedNode, lead: string, style: Style): string[] {
  const name = printable(nameOf(node));
  const size = (bytes: number | undefined): string => (bytes === undefined ? "-" : formatByteSize(bytes));
  return [
    lead + (node.tombstoned ? style.dim(name) : column === 0 ? style.bold(name) : name),
    String(node.depth),
    size(node.capacityBytes),
    size(node.allocatedBytes),
    node.tombstoned ? style.yellow("removed, kept for its clones") : "",
  ];
}
