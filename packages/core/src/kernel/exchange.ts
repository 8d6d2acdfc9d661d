import { VdcError } from "../error/vdc-error.ts";
import type { KernelServices } from "./kernel-services.ts";
import { type PluginInstance, withdraw } from "./plugin-instance.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import type { PluginScope } from "./plugin-scope.ts";
import { PluginStart } from "./plugin-start.ts";
import { adopt, adoptTimes } from "./startup.ts";

/** Options of {@link exchange}. */
export interface ExchangeOptions {
  readonly instance: PluginInstance;
  readonly next: PluginRegistration;
  readonly services: KernelServices;
  /** Whether both generations may run side by side for a while. */
  readonly overlap: boolean;
  /** Why, for people: `its config was changed`. */
  readonly reason: string;
}

/**
 * Puts another generation of a running plugin in its place. Handles stay; calls in flight finish on the old generation, later ones
 * wait for the new one.
 *
 * The new config is checked before anything is torn down. When the new generation cannot be started, the old plugin with its old
 * config is put back, and the error is thrown.
 *
 * - One after the other (the default): calls are held, the old generation is drained and stopped, then the new one is set up. Right
 *   for a plugin that owns something exclusive: a file, a port.
 * - Overlapping: the new one is set up beside the old one, then takes its place, then the old one is drained and stopped.
 */
export async function exchange(options: ExchangeOptions): Promise<void> {
  if (options.overlap) await exchangeOverlapping(options);
  else await exchangeInTurn(options);
}

async function exchangeOverlapping({ instance, next, services, reason }: ExchangeOptions): Promise<void> {
  const start = await startGeneration(next, services);
  if (start.scope === undefined) throw start.error;
  const old = instance.scope as PluginScope;
  instance.registration = next;
  adoptTimes(instance, start);
  adopt(instance, start.scope, services);
  withdraw(old, services);
  await drain(old, next.deadlines.drain);
  await retire(instance, old, services, reason);
}

async function exchangeInTurn({ instance, next, services, reason }: ExchangeOptions): Promise<void> {
  const previous = instance.registration;
  const old = instance.scope as PluginScope;
  let releaseHolds: (() => void) | undefined;
  const start = await startGeneration(next, services, async () => {
    releaseHolds = hold(old, services);
    instance.moveTo("stopping", reason);
    await drain(old, previous.deadlines.drain);
    await retire(instance, old, services, reason);
    withdraw(old, services);
    instance.moveTo("starting", reason);
  });
  try {
    if (start.scope !== undefined) {
      instance.registration = next;
      adoptTimes(instance, start);
      adopt(instance, start.scope, services);
      return;
    }
    const error = start.error as VdcError;
    // The config was refused: nothing has been touched.
    if (releaseHolds === undefined) throw error;
    const back = await startGeneration(previous, services);
    if (back.scope === undefined) {
      const both = new VdcError(
        "INTERNAL",
        `plugin '${instance.id}' could not be exchanged (${error.message}), and its previous generation did not come back (${back.error?.message})`,
        { reason: "VDC_ROLLBACK_FAILED", plugin: instance.id, cause: error },
      );
      instance.fail(both);
      throw both;
    }
    adoptTimes(instance, back);
    adopt(instance, back.scope, services);
    throw error;
  } finally {
    releaseHolds?.();
    services.watch.rest();
  }
}

function startGeneration(
  registration: PluginRegistration,
  services: KernelServices,
  beforeSetup?: () => Promise<void>,
): Promise<PluginStart> {
  return new Promise((onSettled) => {
    const start = new PluginStart({
      registration,
      services,
      onSettled,
      ...(beforeSetup === undefined ? {} : { beforeSetup }),
    });
    start.run(services.clock.monotonic());
  });
}

function hold(scope: PluginScope, services: KernelServices): () => void {
  const releases = scope.providers.map(({ point, name }) => services.providers.hold(point.id, name));
  return () => {
    for (const release of releases) release();
  };
}

async function drain(scope: PluginScope, timeoutMs: number): Promise<void> {
  await Promise.all(scope.providers.map((provider) => provider.drain(timeoutMs)));
}

/** Stops the generation that was replaced. What it cannot release is logged: it must not undo what has succeeded. */
async function retire(
  instance: PluginInstance,
  scope: PluginScope,
  services: KernelServices,
  reason: string,
): Promise<void> {
  const report = await scope.close(
    new VdcError("CANCELLED", `plugin '${instance.id}' is being replaced: ${reason}`, { plugin: instance.id }),
  );
  for (const { label, error } of report.errors) {
    services.logger.error(`the replaced generation of plugin '${instance.id}' could not release '${label}'`, {
      plugin: instance.id,
      error: error.message,
    });
  }
}
