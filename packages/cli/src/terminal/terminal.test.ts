import { isVdcError } from "@vdc-os/core";
import { expect, test, vi } from "vitest";
import { formatByteSize, parseByteSize } from "./byte-size.ts";
import { formatDuration, formatTime } from "./duration.ts";
import { printable } from "./printable.ts";
import { describeProgress, ProgressLine, renderProgress } from "./progress-line.ts";
import { createStyle, hasColours } from "./style.ts";
import { formatFacts, formatTable } from "./table.ts";

test("sizes are read in powers of 1024, and what is ambiguous is refused", () => {
  const sizes = {
    "10G": 10 * 2 ** 30,
    "10 GiB": 10 * 2 ** 30,
    "1.5T": 1.5 * 2 ** 40,
    "512k": 2 ** 19,
    "65536": 65_536,
  };
  for (const [text, bytes] of Object.entries(sizes)) expect(parseByteSize(text)).toBe(bytes);
  expect(parseByteSize("7B")).toBe(7);
  for (const text of ["10GB", "", "G", "-1G", "1e9", "0.3", "10 X", "10iB", "99999999P", "1G2"]) {
    expect(() => parseByteSize(text)).toThrow(expect.toSatisfy((error) => isVdcError(error, "INVALID_ARGUMENT")));
  }
  expect(() => parseByteSize("10GB")).toThrow("say '10GiB'");
});

test("sizes are written with at most four digits", () => {
  const sizes = { 0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1048575: "1 MiB", 10737418240: "10 GiB" };
  for (const [bytes, text] of Object.entries(sizes)) expect(formatByteSize(Number(bytes))).toBe(text);
  expect(formatByteSize(2 ** 62)).toBe("4096 PiB");
  for (let bits = 0; bits < 50; bits++) expect(parseByteSize(formatByteSize(2 ** bits))).toBe(2 ** bits);
});

test("durations and times are short", () => {
  expect([900, 59_400, 187_000, 7_800_000].map(formatDuration)).toEqual(["1 s", "59 s", "3:07", "2:10:00"]);
  expect(formatTime(Date.UTC(2026, 0, 31, 12, 0, 7))).toBe("2026-01-31 12:00:07");
});

test("tables are aligned, whatever is coloured", () => {
  const { red } = createStyle(true);
  const table = formatTable(
    [{ title: "NAME" }, { title: "SIZE", align: "right" }],
    [
      ["a", red("10 GiB")],
      ["volume", "1 B"],
    ],
  );
  expect(table.replaceAll("\u001b[31m", "").replaceAll("\u001b[39m", "")).toBe(
    ["NAME      SIZE", "a       10 GiB", "volume     1 B"].join("\n"),
  );
  expect(
    formatFacts([
      ["name", "a"],
      ["none", undefined],
      ["longer", "b"],
    ]),
  ).toBe("name    a\nlonger  b");
});

test("a table that is too wide gives way: columns are left out, texts go below, on, or are cut", () => {
  const columns = [
    { title: "NAME", narrow: "cut" },
    { title: "KIND", leftOut: 2 },
    { title: "PLACE", leftOut: 1 },
    { title: "HAS", narrow: "wrapped" },
    { title: "", narrow: "below" },
  ] as const;
  const row = ["a-rather-long-name", "disk", "here", "one, two, three, four, five, six", "and all is well with it"];
  const at = (width?: number) => formatTable(columns, [row, ["b", "", "", "", ""]], { width }).split("\n");
  expect(at()[0]).toBe("NAME                KIND  PLACE  HAS");
  expect(at(80)).toEqual([
    "NAME                KIND  PLACE  HAS",
    "a-rather-long-name  disk  here   one, two, three, four, five, six",
    "  and all is well with it",
    "b",
  ]);
  expect(at(46)).toEqual([
    "NAME                KIND  HAS",
    "a-rather-long-name  disk  one, two, three,",
    "                          four, five, six",
    "  and all is well with it",
    "b",
  ]);
  expect(at(34)).toEqual([
    "NAME          HAS",
    "a-rather-lo…  one, two, three,",
    "              four, five, six",
    "  and all is well with it",
    "b",
  ]);
});

test("colours are for terminals that want them", () => {
  expect(hasColours({ isTTY: true }, {})).toBe(true);
  expect(hasColours({ isTTY: true }, { NO_COLOR: "1" })).toBe(false);
  expect(hasColours({ isTTY: true }, { TERM: "dumb" })).toBe(false);
  expect(hasColours({}, {})).toBe(false);
  expect(createStyle(false).red("x")).toBe("x");
});

test("text from outside can't command the terminal", () => {
  expect(printable("a\u001b]0;title\u0007b\u001b[2Jc\rd\ne")).toBe("abc\ufffdd\ne");
});

test("progress tells rate and time left, and fits the line", () => {
  const state = { label: "Moving", fraction: 0.5, doneBytes: 2 ** 29, totalBytes: 2 ** 30, elapsedMs: 4_000 };
  expect(describeProgress(state)).toBe("50%, 512 MiB of 1 GiB, 128 MiB/s, 4 s left");
  expect(describeProgress({ ...state, beganAt: 0.25 })).toContain("64 MiB/s, 8 s left");
  expect(describeProgress({ label: "x", elapsedMs: 0, message: "12 chunks are well" })).toBe("12 chunks are well");
  const line = renderProgress(state, 100);
  expect(line).toContain("███████████████░░░░░");
  for (const columns of [20, 40, 80, 200]) expect([...renderProgress(state, columns)].length).toBeLessThan(columns);
});

test("progress is a changing line on a terminal, and now and then a plain one elsewhere", () => {
  vi.useFakeTimers();
  try {
    const written: string[] = [];
    const stream = (isTTY: boolean) => ({ isTTY, columns: 80, write: (text: string) => written.push(text) });
    const terminal = new ProgressLine({ stream: stream(true), label: "Moving", now: () => Date.now() });
    vi.advanceTimersByTime(100);
    expect(written).toEqual([]);
    terminal.update({ fraction: 0.25 });
    vi.advanceTimersByTime(200);
    expect(written.at(-1)?.startsWith("\r\u001b[2KMoving  █")).toBe(true);
    terminal.end();
    expect(written.at(-1)).toBe("\r\u001b[2K");
    written.length = 0;
    const plain = new ProgressLine({ stream: stream(false), label: "Moving", now: () => Date.now() });
    plain.update({ fraction: 0.25 });
    vi.advanceTimersByTime(7_000);
    expect(written).toEqual(["Moving: 25%\n", "Moving: 25%\n"]);
    plain.end();
    vi.advanceTimersByTime(7_000);
    expect(written).toHaveLength(2);
  } finally {
    vi.useRealTimers();
  }
});
