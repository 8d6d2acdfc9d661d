import { availableParallelism } from "node:os";
import { defineConfig, type ViteUserConfig } from "vitest/config";

// The deep run repeats many tests hundreds of times more: minutes on a machine of their own, and machines are shared.
// Otherwise a limit is there for what hangs: what takes ten seconds on a machine of its own takes a minute where ten others work.
const timeout: number = process.env.VDC_DEEP ? 1_800_000 : 180_000;

const config: ViteUserConfig = defineConfig({
  test: {
    include: [
      "packages/**/src/**/*.test.ts",
      "packages/**/test/**/*.test.ts",
      "tests/**/*.test.ts",
      "examples/**/*.test.ts",
      "site/**/*.test.ts",
    ],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    // Half of the tests wait for other processes: a core that is kept free for the main process would be idle.
    maxWorkers: availableParallelism(),
    testTimeout: timeout,
    hookTimeout: 180_000,
    // What is waited for comes when it comes: on a machine that others use too, a second may pass without a turn.
    expect: { poll: { timeout: 20_000 } },
  },
});

export default config;
