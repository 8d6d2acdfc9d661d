import type { Contract } from "../extension-point/contract.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Kernel } from "../kernel/kernel.ts";

/** An implementation that stands in for a plugin's. */
export interface Fake {
  readonly install: (kernel: Kernel) => void;
}

/** Says that a kernel has this implementation of a point, under a name. Methods that the test does not need may be left out. */
export function fake<T extends Contract>(point: ExtensionPoint<T>, name: string, implementation: Partial<T>): Fake {
  const describe: Contract["describe"] = async () => ({
    implementation: { name: "fake", version: "0.0.0", simulated: true },
    facets: {},
    attributes: {},
  });
  const whole = Object.assign(Object.create(implementation), implementation.describe === undefined ? { describe } : {});
  return { install: (kernel) => void kernel.provide(point, name, whole as T) };
}
