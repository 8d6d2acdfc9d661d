import { expect, test } from "vitest";
import { allocationCells, cellLevel, sumExtents } from "./allocation-cells.ts";
import { allocationMapSvg } from "./allocation-map-svg.ts";
import { allocationMapText } from "./allocation-map-text.ts";
import { type CloneTreeNode, layoutTree } from "./clone-tree-layout.ts";
import { cloneTreeSvg } from "./clone-tree-svg.ts";
import { cloneTreeText } from "./clone-tree-text.ts";
import { escapeXml } from "./svg.ts";

const mib = 2 ** 20;
const extents = [
  { offset: 0, length: 2 * mib, zero: false },
  { offset: 8 * mib, length: mib, zero: true },
  { offset: 15 * mib + 65_536, length: 4 * mib, zero: false },
];

function volume(
  volumeId: string,
  depth: number,
  parentVolumeId?: string,
  more: Partial<CloneTreeNode> = {},
): CloneTreeNode {
  const parent = parentVolumeId === undefined ? {} : { parentVolumeId };
  return { volumeId, name: `vol-${volumeId}`, depth, children: [], tombstoned: false, ...parent, ...more };
}

const family = [
  volume("g", 1, undefined, { tombstoned: true, capacityBytes: 2 ** 30, allocatedBytes: 3 * mib }),
  volume("b", 2, "g", { label: "web-2" }),
  volume("a", 2, "g", { label: "web-1 <&>" }),
  volume("c", 3, "a"),
];

test("a disk is cut into parts that know what is in them", () => {
  const { cellBytes, cells } = allocationCells(extents, 16 * mib, 16);
  expect(cellBytes).toBe(mib);
  expect(cells.map(cellLevel)).toEqual([4, 4, 0, 0, 0, 0, 0, 0, "zero", 0, 0, 0, 0, 0, 0, 3]);
  // What lies outside the disk does not count.
  expect(sumExtents(extents, 16 * mib)).toEqual({ dataBytes: 3 * mib - 65_536, zeroBytes: mib });
  expect(allocationCells([], 1, 1024)).toEqual({ cellBytes: 65_536, cells: [{ data: 0, zero: 0 }] });
  expect(allocationCells([{ offset: 0, length: 100_000, zero: false }], 100_000, 8).cells.map(cellLevel)).toEqual([
    4, 4,
  ]);
});

test("large disks with many extents take no time", () => {
  const many = Array.from({ length: 100_000 }, (_, index) => ({
    offset: index * 2 ** 27,
    length: 65_536,
    zero: false,
  }));
  const { cells } = allocationCells(many, 2 ** 44, 1024);
  expect(cells.length).toBe(1024);
});

test("a map in the terminal has a row for each part of the disk", () => {
  expect(allocationMapText({ name: "disk", capacityBytes: 16 * mib, extents, columns: 80 })).toBe(
    [
      "disk: 2.9 MiB of 16 MiB hold data (18%), 1 MiB are known zeroes",
      "",
      `   0 B  ${"█".repeat(32)}${"·".repeat(32)}`,
      ` 4 MiB  ${"·".repeat(64)}`,
      ` 8 MiB  ${"0".repeat(16)}${"·".repeat(48)}`,
      `12 MiB  ${"·".repeat(49)}${"█".repeat(15)}`,
      "",
      "Each block is 64 KiB: · nothing, ░▒▓█ a quarter to all, 0 known zeroes",
    ].join("\n"),
  );
});

test("a row of a map whose place can't be said in a few digits has no label", () => {
  const rows = allocationMapText({ name: "disk", capacityBytes: 2048 * mib, extents: [], columns: 80 }).split("\n");
  expect(rows.slice(2, 14).map((row) => row.slice(0, 7).trim())).toEqual([
    "0 B",
    "128 MiB",
    "256 MiB",
    "384 MiB",
    "512 MiB",
    "640 MiB",
    "768 MiB",
    "896 MiB",
    "1 GiB",
    "",
    "",
    "",
  ]);
  expect(rows[14]).toMatch(/^1\.5 GiB /);
});

test("a map as SVG says in words what it shows, and has nothing of the reader's in its markup", () => {
  const svg = allocationMapSvg(extents, 16 * mib, { name: '<script>"&' });
  expect(svg).toContain('role="img"');
  expect(svg).toContain('<title id="title">Allocation map of &lt;script&gt;&quot;&amp;</title>');
  expect(svg).toContain("Data: 2 MiB at 0 B, 4 MiB at 15.1 MiB.");
  expect(svg).toContain("prefers-color-scheme: dark");
  expect(svg).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
  expect(svg.match(/class="l4" d="(M[^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(47);
  expect(allocationMapSvg([], 0)).toContain("No part of it holds data.");
  expect(Buffer.byteLength(allocationMapSvg([], 2 ** 40))).toBeLessThan(40_000);
});

test("trees are placed: parents before clones, between them", () => {
  const { nodes, rows, columns, roots } = layoutTree(family);
  expect({ rows, columns, roots: roots.length }).toEqual({ rows: 2, columns: 3, roots: 1 });
  expect(nodes.map(({ node, column, row }) => [node.volumeId, column, row])).toEqual([
    ["g", 0, 0.5],
    ["a", 1, 0],
    ["c", 2, 0],
    ["b", 1, 1],
  ]);
});

test("deep trees, circles and absent parents do no harm", () => {
  const deep = Array.from({ length: 20_000 }, (_, depth) =>
    volume(`v${depth}`, depth + 1, depth === 0 ? undefined : `v${depth - 1}`),
  );
  expect(layoutTree(deep).columns).toBe(20_000);
  const circle = [volume("a", 1, "b"), volume("b", 1, "a"), volume("c", 2, "gone")];
  expect(layoutTree(circle).nodes.map(({ node }) => node.volumeId)).toEqual(["c", "a", "b"]);
});

test("a tree in the terminal has clones below their parent", () => {
  expect(cloneTreeText(family)).toBe(
    [
      "VOLUME        DEPTH   SIZE    OWN",
      "vol-g             1  1 GiB  3 MiB  removed, kept for its clones",
      "├─ web-1 <&>      2      -      -",
      "│  └─ vol-c       3      -      -",
      "└─ web-2          2      -      -",
    ].join("\n"),
  );
});

test("a tree as SVG has a box for each volume and a line for each clone", () => {
  const svg = cloneTreeSvg(family, { title: "Family of golden" });
  expect(svg.match(/<rect class="box/g)).toHaveLength(4);
  expect(svg.match(/class="edge"/g)).toHaveLength(3);
  expect(svg).toContain("web-1 &lt;&amp;&gt;");
  expect(svg).toContain(
    "vol-g: depth 1, size 1 GiB, 3 MiB of its own, removed, and kept for its clones, clones: web-1",
  );
  expect(cloneTreeSvg([])).toContain("0 volumes");
});

test("text in XML is text", () => {
  expect(escapeXml("a\u0000<b>&\"'\ud800")).toBe("a\ufffd&lt;b&gt;&amp;&quot;&#39;\ufffd");
});
