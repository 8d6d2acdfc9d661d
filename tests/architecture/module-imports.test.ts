import { expect, test } from "vitest";
import { findModuleImports, findStarExports } from "./module-imports.ts";

test("finds every way to name a module, and nothing in comments or texts", () => {
  const text = `
import "a";
import { type B, b } from "b";
import type { C } from "c";
export { d } from "d";
export type { E } from "e";
const f = await import("f");
type G = import("g").G;
const h = import.meta.resolve("h");
// import "no";
const text = 'import "no"; export * from "no"';
`;
  expect(findModuleImports("x.ts", text).map((found) => found.specifier)).toEqual([
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
  ]);
  expect(findModuleImports("x.ts", text)[1]).toEqual({ specifier: "b", line: 3 });
  expect(findStarExports("x.ts", text)).toEqual([]);
});

test("finds star exports, also those under a name's type", () => {
  expect(findStarExports("x.ts", 'export { a } from "a";\nexport * from "b";\nexport type * from "c";')).toEqual([
    2, 3,
  ]);
});
