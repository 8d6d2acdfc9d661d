import { type Logger, toVdcError } from "@vdc-os/core";
import type { ControlPlane } from "../controller/control-plane.ts";
import { cloudInstanceKind } from "../kinds/cloud-instance-spec.ts";
import { imageKind } from "../kinds/image-spec.ts";
import { switchKind } from "../kinds/switch-spec.ts";
import { virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import { volumeKind } from "../kinds/volume-spec.ts";
import type { AnyKind } from "../resource/kind.ts";

/** What is removed together, and in which order: what uses goes before what is used. */
const order: readonly (readonly AnyKind[])[] = [
  [virtualMachineKind, cloudInstanceKind],
  [imageKind, switchKind, volumeKind],
] as unknown as readonly (readonly AnyKind[])[];

/** How long each group may take, in milliseconds. */
const timeoutMs = 20_000;

/**
 * Deletes every object, and waits until nothing of them is left at their providers: storage and clouds are often elsewhere than in the datacenter's folder. What
 * can't be removed is logged, with the reason, and does not keep the rest.
 */
export async function removeObjects(plane: ControlPlane, logger: Logger): Promise<void> {
  for (const kinds of order) {
    const deadline = AbortSignal.timeout(timeoutMs);
    const objects = kinds.flatMap((kind) => plane.cache.list(kind).map((object) => ({ kind, object })));
    await Promise.all(
      objects.map(async ({ kind, object: { metadata } }) => {
        const { tenant, name } = metadata;
        try {
          if ((await plane.store.find(kind, { tenant, name })) === undefined) return;
          const { task } = await plane.store.delete(kind, { tenant, name });
          await task.wait({ signal: deadline });
        } catch (error) {
          const { code, message } = toVdcError(error);
          if (code !== "NOT_FOUND")
            logger.warn("an object could not be removed", { kind: kind.kind, name, error: message });
        }
      }),
    );
  }
}
