import { VdcError } from "../error/vdc-error.ts";
import type { KernelServices } from "./kernel-services.ts";
import { type PluginInstance, withdraw } from "./plugin-instance.ts";
import { type PluginStopReport, StopReport } from "./stop-report.ts";

/**
 * Stops plugins: the mirror of their start. Each stops once everything that depends on it has stopped; independent ones stop side by
 * side.
 */
export async function shutDown(
  running: readonly PluginInstance[],
  services: KernelServices,
  reason: string,
): Promise<StopReport> {
  const began = services.clock.monotonic();
  // One for all, and frozen, so that nobody attributes it: making an error for each plugin costs more than stopping it.
  const cause = Object.freeze(new VdcError("CANCELLED", reason));
  const reports: PluginStopReport[] = [];
  const byId = new Map(running.map((instance) => [instance.id, instance]));
  const dependents = new Map<PluginInstance, PluginInstance[]>();
  for (const instance of running) {
    for (const id of dependenciesOf(instance)) {
      const dependency = byId.get(id);
      if (dependency === undefined) continue;
      const list = dependents.get(dependency);
      if (list === undefined) dependents.set(dependency, [instance]);
      else list.push(instance);
    }
  }
  const stopping = new Map<PluginInstance, Promise<void>>();
  // In start order the dependents come last, so that walking backwards finds their promises made.
  for (const instance of [...running].reverse()) {
    const before = (dependents.get(instance) ?? []).map((dependent) => stopping.get(dependent));
    const stop = async (): Promise<void> => {
      if (before.length > 0) await Promise.all(before);
      reports.push(await stopInstance(instance, services, cause));
    };
    stopping.set(instance, stop());
  }
  await Promise.all(stopping.values());
  return new StopReport({ durationMs: services.clock.monotonic() - began, plugins: reports });
}

function dependenciesOf({ planned }: PluginInstance): readonly string[] {
  return planned === undefined ? [] : [...planned.requires, ...planned.follows];
}

/** Stops one plugin: its providers are withdrawn, then its scope is closed. */
export async function stopInstance(
  instance: PluginInstance,
  services: KernelServices,
  cause: VdcError,
): Promise<PluginStopReport> {
  const { message: reason } = cause;
  const { id, scope } = instance;
  const began = services.clock.monotonic();
  instance.moveTo("stopping", reason);
  if (scope === undefined) {
    instance.moveTo("stopped", reason);
    return { id, durationMs: 0, slow: [], errors: [] };
  }
  withdraw(scope, services);
  const report = await scope.close(cause);
  instance.scope = undefined;
  for (const { label, error } of report.errors) {
    services.logger.error(`plugin '${id}' could not release '${label}'`, { plugin: id, error: error.message });
  }
  instance.moveTo("stopped", reason);
  return { ...report, id, durationMs: services.clock.monotonic() - began };
}
