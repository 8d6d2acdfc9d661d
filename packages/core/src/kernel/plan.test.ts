import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { coreVersion } from "../core-version.ts";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import { one, provides } from "../plugin/requirement.ts";
import { contractAdapter } from "../extension-point/contract-adapter.ts";
import { planPlugins } from "./plan.ts";
import { use } from "./plugin-registration.ts";
import { defineGreeter, greeter, greeterPlugin, makeGreeter, plainPlugin } from "./test/greeter-point.ts";

const numRuns = process.env.VDC_DEEP ? 5_000 : 200;

function consumer(name: string, provider?: string, point = greeter): Plugin {
  return definePlugin({
    name,
    version: "1.0.0",
    core: "0.1",
    summary: "Uses a greeter.",
    requires: { greeter: one(point, provider === undefined ? {} : { name: provider }) },
    setup() {
      throw new Error("a plan runs no code");
    },
  });
}

describe("the order", () => {
  it("puts providers before consumers, and keeps registration order otherwise", () => {
    const plan = planPlugins({
      plugins: [
        use(consumer("c", "main")),
        use(plainPlugin("x")),
        use(greeterPlugin, { config: {} }),
        use(plainPlugin("y")),
      ],
    });
    expect(plan.rejected).toEqual([]);
    expect(plan.order.map(({ id }) => id)).toEqual(["x", "greeter-plugin", "y", "c"]);
    expect(plan.order.at(-1)?.requires).toEqual(["greeter-plugin"]);
    expect(plan.order[1]?.provides).toEqual([{ point: "test.greeter", version: "1.0", name: "main" }]);
  });

  it("heeds before and after, by id and by package name", () => {
    const plugins = [
      use(plainPlugin("late", undefined, { after: ["greeter-plugin"] })),
      use(plainPlugin("first", undefined, { before: ["g2"] })),
      use(greeterPlugin, { id: "g1", config: { name: "a" } }),
      use(greeterPlugin, { id: "g2", config: { name: "b" } }),
    ];
    expect(planPlugins({ plugins }).order.map(({ id }) => id)).toEqual(["first", "g1", "g2", "late"]);
  });
});

describe("rejections", () => {
  it("lists everything that is missing at once, and what is behind it", () => {
    const { rejected } = planPlugins({
      plugins: [
        use(
          definePlugin({
            name: "needy",
            version: "1.0.0",
            core: "0.1",
            summary: "Needs two things.",
            provides: [provides(defineGreeter("1.0", "test.other"), { name: "o" })],
            requires: { a: one(greeter, { name: "a" }), b: one(greeter, { name: "b" }) },
            setup() {},
          }),
        ),
        use(consumer("behind", "o", defineGreeter("1.0", "test.other"))),
      ],
    });
    expect(rejected.map(({ id, problems }) => [id, problems.map(({ kind }) => kind)])).toEqual([
      ["needy", ["missing-requirement", "missing-requirement"]],
      ["behind", ["rejected-requirement"]],
    ]);
    expect(rejected[0]?.problems.map(({ waitsFor }) => waitsFor)).toEqual(["test.greeter 'a'", "test.greeter 'b'"]);
  });

  it("names the path of a cycle, and what is behind the cycle", () => {
    const left = defineGreeter("1.0", "test.left");
    const right = defineGreeter("1.0", "test.right");
    const member = (name: string, has: typeof left, needs: typeof left): Plugin =>
      definePlugin({
        name,
        version: "1.0.0",
        core: "0.1",
        summary: "On a cycle.",
        provides: [provides(has)],
        requires: { other: one(needs) },
        setup() {},
      });
    const { order, rejected } = planPlugins({
      plugins: [use(member("l", left, right)), use(member("r", right, left)), use(consumer("behind", "l", left))],
    });
    expect(order).toEqual([]);
    expect(rejected[0]?.problems[0]).toMatchObject({
      kind: "cycle",
      path: ["l", "r", "l"],
      message: "plugin 'l' is on a cycle: 'l' needs 'r' needs 'l'",
    });
    expect(rejected[2]?.problems.map(({ kind }) => kind)).toEqual(["rejected-requirement"]);
  });

  it("tells versions, ambiguity, duplicates, other cores and things that are no plugins", () => {
    const kinds = (...plugins: Parameters<typeof use>[0][]): (string | undefined)[] =>
      planPlugins({ plugins: plugins.map((plugin) => use(plugin)) }).rejected.map(({ problems }) => problems[0]?.kind);
    expect(kinds(greeterPlugin, consumer("c", "main", defineGreeter("1.1")))).toEqual(["incompatible-contract"]);
    expect(kinds(greeterPlugin, greeterPlugin)).toEqual(["duplicate-id"]);
    expect(kinds({ setup() {} } as never)).toEqual(["not-a-plugin"]);
    const two = [
      use(greeterPlugin, { id: "g1", config: { name: "a" } }),
      use(greeterPlugin, { id: "g2", config: { name: "b" } }),
    ];
    const ambiguous = planPlugins({ plugins: [...two, use(consumer("c"))] });
    expect(ambiguous.rejected[0]?.problems[0]?.message).toContain("'a', 'b'");
    const same = planPlugins({ plugins: [use(greeterPlugin, { id: "g1" }), use(greeterPlugin, { id: "g2" })] });
    expect(same.rejected[0]?.problems[0]?.kind).toBe("duplicate-provider");
    const future = { ...greeterPlugin, manifest: { ...greeterPlugin.manifest, core: "9.0" } };
    Object.defineProperty(future, Symbol.for("vdc-os.plugin"), { value: 1 });
    expect(kinds(future)).toEqual(["incompatible-core"]);
    const copy = { ...greeterPlugin };
    Object.defineProperty(copy, Symbol.for("vdc-os.plugin"), { value: 99 });
    const { rejected } = planPlugins({ plugins: [use(copy)] });
    expect(rejected[0]?.problems[0]?.message).toMatch(
      new RegExp(`another copy of @vdc-os/core.*format 99.*${coreVersion.replaceAll(".", "\\.")}.*format 1`),
    );
  });

  it("accepts another major where an adapter joins them", () => {
    const next = defineGreeter("2.0");
    const adapters = [contractAdapter({ from: greeter, to: next, adapt: () => makeGreeter("adapted") })];
    const plugins = [use(greeterPlugin), use(consumer("c", "main", next))];
    expect(planPlugins({ plugins }).rejected).toHaveLength(1);
    expect(planPlugins({ plugins, adapters }).rejected).toEqual([]);
  });
});

describe("any graph", () => {
  /** Plugins 0..n-1, and for each the ones that it comes after. */
  const graph = fc
    .integer({ min: 1, max: 14 })
    .chain((size) =>
      fc.array(fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 3 }), { minLength: size, maxLength: size }),
    );
  const plugins = (edges: readonly (readonly number[])[]) =>
    edges.map((after, index) => use(plainPlugin(`p${index}`, undefined, { after: after.map((other) => `p${other}`) })));

  it("is ordered along its edges, or its cycles are named; twice the same", () => {
    fc.assert(
      fc.property(graph, (edges) => {
        const plan = planPlugins({ plugins: plugins(edges) });
        expect(planPlugins({ plugins: plugins(edges) })).toEqual(plan);
        expect(plan.order.length + plan.rejected.length).toBe(edges.length);
        const position = new Map(plan.order.map(({ id }, index) => [id, index]));
        for (const [index, after] of edges.entries()) {
          for (const other of after) {
            const mine = position.get(`p${index}`);
            const its = position.get(`p${other}`);
            if (mine !== undefined && its !== undefined && other !== index) expect(its).toBeLessThan(mine);
          }
        }
        for (const { id, problems } of plan.rejected) {
          const path = problems.find(({ kind }) => kind === "cycle")?.path ?? [];
          expect(path[0]).toBe(id);
          expect(path.at(-1)).toBe(id);
          for (const [step, from] of path.slice(0, -1).entries()) {
            expect(edges[Number(from.slice(1))]).toContain(Number(path[step + 1]?.slice(1)));
          }
        }
      }),
      { numRuns, seed: 7 },
    );
  });

  it("has no rejection without a cycle", () => {
    fc.assert(
      fc.property(graph, (edges) => {
        const acyclic = edges.map((after, index) => after.filter((other) => other < index));
        expect(planPlugins({ plugins: plugins(acyclic) }).rejected).toEqual([]);
      }),
      { numRuns, seed: 7 },
    );
  });
});
