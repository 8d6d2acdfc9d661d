import { Kernel } from "../kernel/kernel.ts";
import type { KernelOptions } from "../kernel/kernel-options.ts";
import { type PluginRegistration, use } from "../kernel/plugin-registration.ts";
import type { StopReport } from "../kernel/stop-report.ts";
import type { Plugin } from "../plugin/define-plugin.ts";
import type { Fake } from "./fake.ts";
import { LeakCheck } from "./leak-check.ts";
import { createTestRandom } from "./test-random.ts";

/** Options of {@link createTestKernel}. */
export interface CreateTestKernelOptions extends Omit<KernelOptions, "plugins"> {
  /** What it runs: a plugin as it is, or with config through `use`. Defaults to none. */
  readonly plugins?: readonly (Plugin | PluginRegistration)[];
  /** Implementations that stand in for plugins. Defaults to none. */
  readonly fakes?: readonly Fake[];
  /** Whether it is started before it is returned. Defaults to true. */
  readonly start?: boolean;
  /** Whether a leak fails the test. Defaults to true. */
  readonly leakCheck?: boolean;
}

/**
 * Makes a kernel for a test: everything that crosses a contract is checked, randomness repeats, and it stops by itself.
 *
 * In a vitest test it stops when the test has finished, and fails the test when a plugin left something behind. Elsewhere,
 * declare it with `await using`.
 *
 * @example
 * ```ts
 * const kernel = await createTestKernel({ plugins: [use(myPlugin, { config })], fakes: [fake(stateStore, "memory", store)] });
 * ```
 */
export async function createTestKernel(options: CreateTestKernelOptions = {}): Promise<Kernel> {
  const { plugins = [], fakes = [], start = true, leakCheck = true, ...rest } = options;
  const leaks = new LeakCheck();
  const kernel = new TestKernel(
    {
      validation: "full",
      random: createTestRandom(),
      ...rest,
      plugins: plugins.map((plugin) => ("plugin" in plugin ? plugin : use(plugin))),
    },
    leakCheck ? leaks : undefined,
  );
  for (const { install } of fakes) install(kernel);
  await onTestFinished(() => kernel[Symbol.asyncDispose]());
  if (start) await kernel.start();
  return kernel;
}

/** A kernel whose disposal fails when a plugin left something behind. */
class TestKernel extends Kernel {
  readonly #leaks: LeakCheck | undefined;
  #lastStop: StopReport | undefined;

  constructor(options: KernelOptions, leaks: LeakCheck | undefined) {
    super(options);
    this.#leaks = leaks;
  }

  override async stop(reason?: string): Promise<StopReport> {
    const report = await super.stop(reason);
    // A second stop has nothing to report: what the first one could not release still counts.
    if (report.plugins.length > 0) this.#lastStop = report;
    return report;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    const report = await this.stop();
    await this.#leaks?.assertNoLeak(this.#lastStop ?? report);
  }
}

/** Registers with the test runner, when there is one that offers it and a test is running. */
async function onTestFinished(run: () => Promise<void>): Promise<void> {
  try {
    // Not a dependency: tests that run under something else must not need it.
    const runner = "vitest";
    const { onTestFinished: register } = (await import(runner)) as { onTestFinished(run: () => Promise<void>): void };
    register(run);
  } catch {
    // Outside a test, or of another runner: whoever made the kernel stops it.
  }
}
