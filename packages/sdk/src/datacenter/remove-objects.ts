import { type Logger, toVdcError, VdcError } from "@vdc-os/core";
import type { ControlPlane } from "../controller/control-plane.ts";
import { cloudInstanceKind } from "../kinds/cloud-instance-spec.ts";
import { hostKind } from "../kinds/host-spec.ts";
import { imageKind } from "../kinds/image-spec.ts";
import { switchKind, type SwitchKindSpec } from "../kinds/switch-spec.ts";
import { virtualMachineKind, type VirtualMachineStatus } from "../kinds/virtual-machine-spec.ts";
import { storagePolicyKind } from "../kinds/storage-policy-spec.ts";
import { volumeSnapshotKind } from "../kinds/volume-snapshot-spec.ts";
import { volumeKind, type VolumeStatus } from "../kinds/volume-spec.ts";
import type { AnyKind } from "../resource/kind.ts";
import type { Resource } from "../resource/resource.ts";

/** What is removed together, and in which order: what uses goes before what is used. */
const order: readonly (readonly AnyKind[])[] = [
  [virtualMachineKind, cloudInstanceKind],
  [imageKind, switchKind, volumeKind, volumeSnapshotKind],
  [storagePolicyKind],
] as unknown as readonly (readonly AnyKind[])[];

/** How long nothing of a group may go before what is left of it is given up, in milliseconds. Many objects may take longer than that together. */
const stallMs = 20_000;
/** The same for what a host holds that is away: it goes with the host, which is swept when it is closed, so there is little to wait for. */
const awayTimeoutMs = 2_000;

/**
 * Deletes every object, and waits until nothing of them is left at their providers: storage and clouds are often elsewhere than in the datacenter's folder. What
 * can't be removed is logged, with the reason, and does not keep the rest.
 */
export async function removeObjects(plane: ControlPlane, logger: Logger): Promise<void> {
  for (const kinds of order) {
    const stalled = new AbortController();
    const giveUp = (): void => stalled.abort(new VdcError("DEADLINE_EXCEEDED", `nothing has gone for ${stallMs} ms`));
    const timer = setTimeout(giveUp, stallMs);
    const awayDeadline = AbortSignal.timeout(awayTimeoutMs);
    const away = new Set(
      plane.cache
        .list(hostKind)
        .filter(({ status }) => status.state !== "connected")
        .map(({ metadata }) => metadata.name),
    );
    const objects = kinds.flatMap((kind) => plane.cache.list(kind).map((object) => ({ kind, object })));
    await Promise.all(
      objects.map(async ({ kind, object }) => {
        const { tenant, name } = object.metadata;
        try {
          if ((await plane.store.find(kind, { tenant, name })) === undefined) return;
          const { task } = await plane.store.delete(kind, { tenant, name });
          await task.wait({ signal: hostsOf(object).some((host) => away.has(host)) ? awayDeadline : stalled.signal });
          timer.refresh();
        } catch (error) {
          const { code, message } = toVdcError(error);
          if (code !== "NOT_FOUND")
            logger.warn("an object could not be removed", { kind: kind.kind, name, error: message });
        }
      }),
    );
    clearTimeout(timer);
  }
}

/** The hosts that must take part when an object is removed. */
function hostsOf(object: Resource): readonly string[] {
  const { host, attachedTo } = object.status as Pick<VirtualMachineStatus, "host"> & Pick<VolumeStatus, "attachedTo">;
  const { hosts } = object.spec as Partial<Pick<SwitchKindSpec, "hosts">>;
  return [host, attachedTo?.host, ...(object.kind === switchKind.kind ? (hosts ?? []) : [])].filter(
    (name) => name !== undefined,
  );
}
