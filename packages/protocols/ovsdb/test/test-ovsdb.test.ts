import { describe, expect, test } from "vitest";
import { readAtChecks } from "./at-file.ts";
import { runTestOvsdb } from "./test-ovsdb.ts";

const A = '["uuid","0a000000-0000-4000-8000-000000000000"]';
const B = '["uuid","0b000000-0000-4000-8000-000000000000"]';

/** What RFC 7047 says of values and schemas, as calls of the command: arguments, then the lines printed. */
const accepted: readonly (readonly [what: string, args: readonly string[], lines: readonly string[]])[] = [
  [
    "integers, also those beyond 2^53",
    ["parse-atoms", '"integer"', "[7]", "[-9223372036854775808]", "[9223372036854775807]", "[2e2]"],
    ["7", "-9223372036854775808", "9223372036854775807", "200"],
  ],
  [
    "reals: there is one zero",
    ["parse-atoms", '"real"', "[-0.0]", "[0]", "[2.50]", "[1e40]", "[1e-9]"],
    ["0", "0", "2.5", "1e+40", "1e-09"],
  ],
  [
    "a uuid is a pair, in lower case",
    ["parse-atoms", '"uuid"', '["uuid","0A000000-0000-4000-8000-00000000000F"]'],
    ['["uuid","0a000000-0000-4000-8000-00000000000f"]'],
  ],
  [
    "what is not of the type is said",
    ["parse-atoms", '"boolean"', "[1]", '["true"]', "[true]"],
    ['syntax "1": syntax error: expected boolean', 'syntax ""true"": syntax error: expected boolean', "true"],
  ],
  ["numbers are sorted by value", ["sort-atoms", '"real"', "[[3,-1e9,0.5,-0.0,20]]"], ["[-1000000000,0,0.5,3,20]"]],
  [
    "text is sorted by its bytes in UTF-8",
    ["sort-atoms", '"string"', '[["\u{1f600}","\uffee","b","","B","a"]]'],
    ['["","B","a","b","\uffee","\u{1f600}"]'],
  ],
  ["false is before true", ["sort-atoms", '"boolean"', "[[true,false]]"], ["[false,true]"]],
  [
    "a set of one is written without the set",
    ["parse-data", '{"key":"integer","min":0,"max":9}', '["set",[5]]', "[5]", '["set",[]]'],
    ["5", "5", '["set",[]]'],
  ],
  [
    "sets and maps are in canonical order",
    ["parse-data", '{"key":"uuid","value":"integer","max":"unlimited"}', `["map",[[${B},1],[${A},2]]]`],
    [`["map",[[${A},2],[${B},1]]]`],
  ],
  [
    "an enumeration",
    ["parse-atoms", '{"type":"string","enum":["set",["x","y"]]}', '["y"]', '["z"]'],
    ['"y"', "constraint violation: z is not one of the allowed values ([x, y])"],
  ],
  [
    "a range",
    ["parse-atoms", '{"type":"integer","minInteger":0,"maxInteger":4095}', "[4095]", "[4096]"],
    ["4095", "constraint violation: 4096 is not in the valid range 0 to 4095 (inclusive)"],
  ],
  [
    "characters are counted, not UTF-16 units",
    ["parse-atoms", '{"type":"string","maxLength":1}', '["\u{1f600}"]'],
    ['"\u{1f600}"'],
  ],
  ["the shortest form of a type", ["parse-type", '{"key":"integer","min":1,"max":1}'], ['"integer"']],
  [
    "a column",
    ["parse-column", "c", '{"type":"real","mutable":true,"ephemeral":true}'],
    ['{"ephemeral":true,"type":"real"}'],
  ],
  [
    "a weak reference can change, whatever is said",
    ["parse-column", "c", '{"type":{"key":{"type":"uuid","refTable":"T","refType":"weak"}},"mutable":false}'],
    ['{"type":{"key":{"refTable":"T","refType":"weak","type":"uuid"}}}'],
  ],
  [
    "without roots every table is one",
    ["parse-schema", '{"name":"d","version":"1.2.3","tables":{"T":{"columns":{"a":{"type":"string"}}}}}'],
    ['{"name":"d","tables":{"T":{"columns":{"a":{"type":"string"}}}},"version":"1.2.3"}'],
  ],
  [
    "conditions: cheap ones first",
    ["parse-conditions", '{"columns":{"i":{"type":"integer"}}}', '[["i","!=",1],["i","==",2]]'],
    ['[["i","==",2],["i","!=",1]]'],
  ],
  [
    "conditions on an optional integer",
    [
      "evaluate-conditions",
      '{"columns":{"i":{"type":{"key":"integer","min":0}}}}',
      '[[["i",">",1]],[["i","includes",["set",[]]]],[["i","!=",["set",[]]]]]',
      '[{"i":["set",[]]},{"i":1},{"i":2}]',
    ],
    ["condition  0: --T", "condition  1: TTT", "condition  2: -TT"],
  ],
  [
    "conditions on maps: pairs, not keys",
    [
      "evaluate-conditions",
      '{"columns":{"m":{"type":{"key":"string","value":"integer","min":0,"max":"unlimited"}}}}',
      '[[["m","includes",["map",[["a",1]]]]],[["m","excludes",["map",[["a",1]]]]]]',
      '[{"m":["map",[["a",1],["b",2]]]},{"m":["map",[["a",2]]]},{"m":["map",[]]}]',
    ],
    ["condition  0: T--", "condition  1: -TT"],
  ],
];

const refused: readonly (readonly [what: string, args: readonly string[]])[] = [
  ["half an integer", ["parse-data", '"integer"', "[0.5]"]],
  ["an integer of 65 bits", ["parse-data", '"integer"', "[9223372036854775808]"]],
  ["the same element twice", ["parse-data", '{"key":"real","max":3}', '["set",[0.0,-0.0]]']],
  ["the same key twice", ["parse-data", '{"key":"string","value":"string","max":3}', '["map",[["a","1"],["a","2"]]]']],
  ["too many elements", ["parse-data", '{"key":"string","max":2}', '["set",["a","b","c"]]']],
  ["none where one must be", ["parse-data", '{"key":"string","max":2}', '["set",[]]']],
  ["a set where a map must be", ["parse-data", '{"key":"string","value":"string"}', '["set",[]]']],
  ["a pair of three", ["parse-data", '{"key":"string","value":"string"}', '["map",[["a","b","c"]]]']],
  ["a type that there isn't", ["parse-type", '"void"']],
  ["a type without key", ["parse-type", "{}"]],
  ["a constraint of another type", ["parse-base-type", '{"type":"string","minInteger":1}']],
  ["an enumeration and a range", ["parse-base-type", '{"type":"integer","minInteger":1,"enum":["set",[2]]}']],
  ["an enumeration that allows nothing", ["parse-base-type", '{"type":"integer","enum":["set",[]]}']],
  ["a range upside down", ["parse-base-type", '{"type":"real","minReal":2,"maxReal":1}']],
  ["two at least", ["parse-type", '{"key":"string","min":2,"max":3}']],
  ["a reserved column", ["parse-table", "t", '{"columns":{"_x":{"type":"string"}}}']],
  ["a table without columns", ["parse-table", "t", '{"columns":{}}']],
  ["a table of no rows", ["parse-table", "t", '{"columns":{"a":{"type":"string"}},"maxRows":0}']],
  ["an index of nothing", ["parse-table", "t", '{"columns":{"a":{"type":"string"}},"indexes":[[]]}']],
  [
    "an index of a column that there isn't",
    ["parse-table", "t", '{"columns":{"a":{"type":"string"}},"indexes":[["b"]]}'],
  ],
  [
    "an index of what isn't kept",
    ["parse-table", "t", '{"columns":{"a":{"type":"string","ephemeral":true}},"indexes":[["a"]]}'],
  ],
  [
    "a reference to nowhere",
    [
      "parse-schema",
      '{"name":"d","version":"1.0.0","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"U"}}}}}}}',
    ],
  ],
  ["text compared by size", ["parse-conditions", '{"columns":{"s":{"type":"string"}}}', '[["s","<","a"]]']],
  ["a word that there isn't", ["no-such-word"]],
];

describe("values and schemas, as RFC 7047 has them", () => {
  test.each(accepted)("%s", async (_, args, lines) => {
    expect(await runTestOvsdb(args)).toEqual({ status: 0, out: lines.map((line) => `${line}\n`).join(""), err: "" });
  });

  test.each(refused)("refused: %s", async (_, args) => {
    const { status, out, err } = await runTestOvsdb(args);
    expect(status).toBeGreaterThan(0);
    expect(out).toBe("");
    expect(err).toMatch(/^test-ovsdb: ./);
  });

  test("defaults of every type", async () => {
    for (const [word, count] of [
      ["default-atoms", 5],
      ["default-data", 60],
    ] as const) {
      const { out } = await runTestOvsdb([word]);
      expect(
        out
          .trim()
          .split("\n")
          .filter((line) => line.endsWith(": OK")),
      ).toHaveLength(count);
    }
  });
});

test("checks are read out of an Autotest file as M4 and a shell would", () => {
  const text = `AT_BANNER([x])
OVSDB_CHECK_POSITIVE_CPY([two levels],
  [[parse-atoms '["integer"]' \\
    '[0]' '[1]']],
  [0
1])
OVSDB_CHECK_NEGATIVE([one level], [parse-type '@<:@"void"@:>@' '[[1]]'], [dnl
said], [set])
`;
  expect(readAtChecks(text)).toEqual([
    { kind: "positive", title: "two levels", args: ["parse-atoms", '["integer"]', "[0]", "[1]"], expected: "0\n1" },
    { kind: "negative", title: "one level", args: ["parse-type", '["void"]', "[1]"], expected: "said" },
  ]);
});
