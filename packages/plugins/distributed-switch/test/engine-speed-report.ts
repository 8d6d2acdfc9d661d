import {
  configurationCost,
  type EngineFigure,
  featureCosts,
  unicastBetween,
  unicastToLearned,
} from "./engine-speed.ts";

/** Prints what the engine costs per frame: `node test/engine-speed-report.ts`. */
const options = { frames: 400_000, rounds: 7 };
const plain = (): { vlan: { kind: "access"; id: number } } => ({ vlan: { kind: "access", id: 10 } });

const figures: EngineFigure[] = [
  unicastBetween(2, plain, options),
  unicastBetween(10, plain, options),
  unicastBetween(100, plain, options),
  unicastBetween(1000, plain, options),
  unicastToLearned(10, options),
  unicastToLearned(1000, options),
  unicastToLearned(100_000, options),
  ...featureCosts(options),
];
for (const { name, nanosecondsPerFrame } of figures) {
  console.log(`${name.padEnd(40)} ${nanosecondsPerFrame.toFixed(0).padStart(6)} ns per frame`);
}
configurationCost(100, 10);
for (const [ports, groups] of [
  [100, 10],
  [1000, 100],
  [10_000, 1000],
] as const) {
  const cost = Array.from({ length: ports > 1000 ? 3 : 15 }, () => configurationCost(ports, groups)).sort(
    (a, b) => a - b,
  );
  console.log(
    `configure ${ports} ports, ${groups} VLANs:`.padEnd(40),
    `${((cost[cost.length >> 1] ?? 0) * 1000).toFixed(2)} us per port`,
  );
}
