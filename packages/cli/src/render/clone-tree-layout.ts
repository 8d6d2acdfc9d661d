import type { Lineage } from "@vdc-os/core/storage/v1";

/** A volume in a tree of clones, with what is known of it besides. */
export interface CloneTreeNode extends Lineage {
  /** The name that is shown, where it is another than the provider's. */
  readonly label?: string;
  readonly capacityBytes?: number;
  /** What it takes by itself: a linked clone's differences to its parent. */
  readonly allocatedBytes?: number;
}

/** A node with its place in the picture. */
export interface PlacedNode {
  readonly node: CloneTreeNode;
  /** 0 for a root. */
  readonly column: number;
  /** Its place from above; between its children, where it has some. */
  readonly row: number;
  readonly children: readonly PlacedNode[];
}

/** Trees as they are drawn. */
export interface TreeLayout {
  /** Each root before what is below it; brothers by name. */
  readonly nodes: readonly PlacedNode[];
  readonly roots: readonly PlacedNode[];
  readonly rows: number;
  readonly columns: number;
}

/** The name that is shown of a node. */
export function nameOf({ label, name }: CloneTreeNode): string {
  return label ?? name;
}

/**
 * Places trees of clones: a column for each depth, a row for each volume without clones. What names a parent that is not there is a root. A circle, which no
 * provider should tell of, is cut. Pure; deep trees need no deep stack.
 */
export function layoutTree(lineages: readonly CloneTreeNode[]): TreeLayout {
  const byId = new Map(lineages.map((node) => [node.volumeId, node]));
  const below = Map.groupBy(lineages, ({ parentVolumeId = "" }) => (byId.has(parentVolumeId) ? parentVolumeId : ""));
  const byName = (a: CloneTreeNode, b: CloneTreeNode): number => (nameOf(a) < nameOf(b) ? -1 : 1);
  const nodes: { node: CloneTreeNode; column: number; row: number; children: PlacedNode[]; parent: number }[] = [];
  const seen = new Set<string>();
  const visit = (start: CloneTreeNode): void => {
    const waiting = [{ node: start, column: 0, parent: -1 }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { node, column, parent } = next;
      if (seen.has(node.volumeId)) continue;
      seen.add(node.volumeId);
      const index = nodes.push({ node, column, row: -1, children: [], parent }) - 1;
      // From the last to the first, so that the first comes out first.
      const children = [...(below.get(node.volumeId) ?? [])].sort(byName).reverse();
      waiting.push(...children.map((child) => ({ node: child, column: column + 1, parent: index })));
    }
  };
  for (const root of [...(below.get("") ?? [])].sort(byName)) visit(root);
  for (const node of lineages) visit(node);
  for (const placed of nodes) if (placed.parent >= 0) nodes[placed.parent]?.children.push(placed);
  let rows = 0;
  for (const placed of nodes) if (placed.children.length === 0) placed.row = rows++;
  // Children come after their parents, so from the end each finds its children placed.
  for (const placed of nodes.toReversed()) {
    const first = placed.children[0]?.row;
    const last = placed.children.at(-1)?.row;
    if (first !== undefined && last !== undefined) placed.row = (first + last) / 2;
  }
  const columns = nodes.reduce((most, { column }) => Math.max(most, column + 1), 0);
  return { nodes, roots: nodes.filter(({ parent }) => parent < 0), rows, columns };
}
