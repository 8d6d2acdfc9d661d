import { join } from "node:path";
import {
  type Clock,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import { Kernel, type KernelPolicy, type PluginRegistration, type StartReport } from "@vdc-os/core/kernel";
import { takeProcessLock } from "@vdc-os/core/remote";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import type { Policy } from "../admission/admission.ts";
import { portPolicyRule } from "../admission/port-policy-rule.ts";
import type { Quotas } from "../admission/quota.ts";
import { type ControlPlane, createControlPlane } from "../controller/control-plane.ts";
import { cloudInstanceController } from "../controllers/cloud-instance-controller.ts";
import { imageController } from "../controllers/image-controller.ts";
import { PortGate } from "../controllers/port-gate.ts";
import { providersOf } from "../controllers/providers.ts";
import { switchController } from "../controllers/switch-controller.ts";
import { virtualMachineController } from "../controllers/virtual-machine-controller.ts";
import { storagePolicyController } from "../controllers/storage-policy-controller.ts";
import { storagePoolController } from "../controllers/storage-pool-controller.ts";
import { volumeController } from "../controllers/volume-controller.ts";
import { volumeSnapshotController } from "../controllers/volume-snapshot-controller.ts";
import { sweep, type SweepReport } from "../journal/sweep.ts";
import { cloudInstanceKind } from "../kinds/cloud-instance-spec.ts";
import { hostKind } from "../kinds/host-spec.ts";
import { imageKind } from "../kinds/image-spec.ts";
import { storagePolicyKind } from "../kinds/storage-policy-spec.ts";
import { storagePoolKind } from "../kinds/storage-pool-spec.ts";
import { volumeSnapshotKind } from "../kinds/volume-snapshot-spec.ts";
import type { Datacenter, DatacenterMode } from "./datacenter.ts";
import { DatacenterDirectory } from "./datacenter-directory.ts";
import type { HostLink } from "./host-link.ts";
import { removeObjects } from "./remove-objects.ts";
import { HostMonitor } from "./host-monitor.ts";
import { kindClient } from "./kind-client.ts";
import { describeProviders } from "./describe-providers.ts";
import { switchClient } from "./open-switch-client.ts";
import { ensureStoragePools, keepStoragePools, type StoragePoolsOptions } from "./storage-pools.ts";
import { sweepTargets } from "./sweep-targets.ts";
import { volumeClient } from "./volume-client.ts";
import { virtualMachineClient } from "./virtual-machine-client.ts";

/** What a datacenter's plugins can be chosen by. */
export interface DatacenterPlace {
  /** The datacenter's uid, for plugins that stamp what they make. */
  readonly uid: string;
  /** Its folder: absolute, without symbolic links. */
  readonly directory: string;
}

/** Options of {@link createDatacenter}. */
export interface CreateDatacenterOptions {
  /** The datacenter's own folder. Made when it is not there. Keep its path short: Unix sockets lie in it. */
  readonly directory: string;
  /** Defaults to `datacenter`. Counts when the folder is made. */
  readonly name?: string;
  /** Defaults to `durable`. */
  readonly mode?: DatacenterMode;
  /** What the manager's kernel runs, perhaps chosen by the datacenter's uid and folder. One of them provides a state store. */
  readonly plugins: readonly PluginRegistration[] | ((place: DatacenterPlace) => readonly PluginRegistration[]);
  /** Which plugins the manager's kernel starts: see `KernelPolicy`, whose `certified` asks for certificates. Defaults to all. */
  readonly policy?: KernelPolicy;
  /** Defaults to none. */
  readonly hosts?: readonly HostLink[];
  /** Who may do what: see `Policy`. Defaults to none. */
  readonly policies?: readonly Policy[];
  /** Limits for each tenant. Defaults to none. */
  readonly quotas?: Quotas | (() => Quotas);
  /** How often what nobody owns is looked for, in milliseconds. Defaults to ten minutes. */
  readonly sweepIntervalMs?: number;
  /** How often storage providers are asked how they are, in milliseconds. Defaults to ten seconds. */
  readonly storagePollIntervalMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a datacenter's folder, or makes it. Takes up whatever a manager before has left: a durable datacenter's VMs are adopted, an ephemeral
 * one's leftovers removed. At most one manager has a folder open: another is refused with `ALREADY_EXISTS`.
 */
export async function createDatacenter(options: CreateDatacenterOptions): Promise<Datacenter> {
  const { mode = "durable", name = "datacenter", hosts = [], policies = [], quotas = {}, policy = {} } = options;
  const {
    logger = silentLogger,
    clock = systemClock,
    random = systemRandom,
    signal = new AbortController().signal,
  } = options;
  const names = hosts.map((host) => host.name);
  const twice = names.find((host, index) => names.indexOf(host) !== index);
  if (twice !== undefined) throw new VdcError("INVALID_ARGUMENT", `there are two hosts '${twice}'`);

  const path = await DatacenterDirectory.locate(options.directory);
  // What was acquired, released in reverse when opening fails, or by `close`.
  const releases: (() => Promise<unknown>)[] = [];
  const lock = await takeProcessLock(join(path, "manager"));
  releases.push(() => lock.release());
  const closing = new AbortController();
  // Whether nothing is to be left: of an ephemeral datacenter, and of a new one that could not be opened.
  let removing = mode === "ephemeral";
  let removeFolder: (() => Promise<void>) | undefined;
  try {
    const directory = await DatacenterDirectory.open(path, name, mode);
    const { uid } = directory.identity;
    removing ||= directory.fresh;
    removeFolder = () => directory.remove();
    if (directory.leftover) {
      await Promise.all(hosts.map((host) => host.sweep({ directory: directory.host(host.name), datacenter: uid })));
      await directory.clear();
    }
    const plugins =
      typeof options.plugins === "function" ? options.plugins({ uid, directory: directory.path }) : options.plugins;
    const kernel = new Kernel({ plugins, policy, logger, clock, random });
    const monitors = hosts.map((link) => {
      const open = {
        datacenter: uid,
        directory: directory.host(link.name),
        ephemeral: mode === "ephemeral",
        signal: closing.signal,
      };
      return new HostMonitor({ link, open, kernel, clock, logger, onConnected: () => void sweepNow().catch(() => {}) });
    });
    releases.push(() => Promise.all(monitors.map((monitor) => monitor.close({ stop: removing }))));
    await Promise.all(monitors.map((monitor) => monitor.connect()));
    releases.push(() => kernel.stop());
    const startReport: StartReport = await kernel.start({ signal });
    const { storagePollIntervalMs = 10_000 } = options;
    const plane = buildPlane({ kernel, uid, policies, quotas, clock, random, logger, storagePollIntervalMs });
    releases.push(() => plane.stop());
    let running = false;
    const sweepNow = async (
      sweepOptions: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
    ): Promise<SweepReport> =>
      sweep({
        state: kernel.get(stateStore),
        journal: plane.journal,
        datacenter: uid,
        targets: sweepTargets(kernel, uid),
        clock,
        logger,
        // When opening, nothing of this process is under way, so whatever has no object is a leftover.
        ...(running ? {} : { graceMs: 0 }),
        ...sweepOptions,
      });
    await sweepNow({ signal });
    await plane.start({ signal });
    running = true;
    for (const host of names)
      await plane.store.create(
        hostKind,
        { name: host, spec: { schedulable: true } },
        { fieldOwner: "datacenter", signal },
      );
    const pools: StoragePoolsOptions = {
      plane,
      providers: providersOf(kernel),
      clock,
      logger,
      intervalMs: storagePollIntervalMs,
      signal: closing.signal,
    };
    await ensureStoragePools(pools);
    const keepingPools = keepStoragePools(pools);
    releases.push(() => keepingPools);
    for (const monitor of monitors) monitor.start(plane);
    const sweeping = sweepFromTimeToTime(sweepNow, options.sweepIntervalMs ?? 600_000, clock, logger, closing.signal);
    releases.push(() => sweeping);
    removing = mode === "ephemeral";

    let closed: Promise<void> | undefined;
    const close = (): Promise<void> =>
      (closed ??= (async () => {
        if (removing) await removeObjects(plane, logger);
        closing.abort(new VdcError("CANCELLED", "the datacenter is being closed"));
        await releaseAll(releases, logger, removing ? removeFolder : undefined);
      })());
    const destroy = (): Promise<void> => {
      removing = true;
      return close();
    };
    return {
      uid,
      name: directory.identity.name,
      directory: directory.path,
      mode,
      kernel,
      startReport,
      events: kernel.events,
      tasks: plane.tasks,
      hosts: kindClient(plane, hostKind),
      volumes: volumeClient(plane),
      volumeSnapshots: kindClient(plane, volumeSnapshotKind),
      storagePolicies: kindClient(plane, storagePolicyKind),
      storagePools: kindClient(plane, storagePoolKind),
      images: kindClient(plane, imageKind),
      switches: switchClient({ plane, providers: providersOf(kernel), clock, datacenter: uid }),
      vms: virtualMachineClient(plane, kernel),
      cloudInstances: kindClient(plane, cloudInstanceKind),
      secrets: kernel.get(secretStore),
      describe: () => describeProviders(kernel),
      status: () => plane.status,
      sweep: sweepNow,
      close,
      destroy,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    closing.abort(error);
    await releaseAll(releases, logger, removing ? removeFolder : undefined);
    throw error;
  }
}

interface PlaneOptions {
  readonly kernel: Kernel;
  readonly uid: string;
  readonly policies: readonly Policy[];
  readonly quotas: Quotas | (() => Quotas);
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly storagePollIntervalMs: number;
}

function buildPlane({
  kernel,
  uid,
  policies,
  quotas,
  clock,
  random,
  logger,
  storagePollIntervalMs,
}: PlaneOptions): ControlPlane {
  const providers = providersOf(kernel);
  const gate = new PortGate();
  const plane: ControlPlane = createControlPlane({
    state: kernel.get(stateStore),
    datacenter: uid,
    kinds: [hostKind],
    controllers: [
      volumeController(providers),
      volumeSnapshotController(providers),
      storagePolicyController(),
      storagePoolController(providers, storagePollIntervalMs),
      imageController(),
      switchController(providers, gate),
      virtualMachineController(providers, gate),
      cloudInstanceController(providers),
    ],
    policies: [...policies, portPolicyRule(() => plane.cache)],
    quotas,
    events: kernel.events,
    clock,
    random,
    logger,
  });
  return plane;
}

async function releaseAll(
  releases: (() => Promise<unknown>)[],
  logger: Logger,
  last: (() => Promise<unknown>) | undefined,
): Promise<void> {
  const [lock, ...rest] = releases.splice(0);
  for (const release of [
    ...rest.reverse(),
    ...(last === undefined ? [] : [last]),
    ...(lock === undefined ? [] : [lock]),
  ]) {
    try {
      await release();
    } catch (error) {
      logger.error("something could not be released", { error: toVdcError(error).message });
    }
  }
}

async function sweepFromTimeToTime(
  run: () => Promise<SweepReport>,
  everyMs: number,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(everyMs, { signal }).catch(() => {});
    if (signal.aborted) return;
    await run().catch((error) =>
      logger.warn("a sweep failed; it is tried again later", { error: toVdcError(error).message }),
    );
  }
}
