import { type Controller, defineController, watchKind } from "../controller/define-controller.ts";
import { imageKind } from "../kinds/image-spec.ts";
import { volumeKind } from "../kinds/volume-spec.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { isBeingDeleted } from "../resource/resource.ts";

/** An image is ready when its volume is. */
export function imageController(): Controller {
  return defineController({
    kind: imageKind,
    watches: [
      watchKind(volumeKind, (volume, cache) =>
        cache
          .list(imageKind)
          .filter(
            (image) => image.spec.volume === volume.metadata.name && image.metadata.tenant === volume.metadata.tenant,
          )
          .map(({ metadata: { tenant, name } }) => ({ tenant, name })),
      ),
    ],
    async reconcile(context, key) {
      const { object } = context;
      if (object === undefined || isBeingDeleted(object)) return;
      const { volume: name } = object.spec;
      const volume =
        name === undefined
          ? undefined
          : await context.store.find(volumeKind, { tenant: key.tenant, name }, { signal: context.signal });
      const ready =
        name === undefined || (volume !== undefined && isConditionTrue(volume.conditions, readyCondition, 1));
      const message = ready
        ? ""
        : volume === undefined
          ? `there is no volume '${name}'`
          : `volume '${name}' is not ready`;
      await context.updateStatus({
        status: { ready },
        conditions: [
          {
            type: readyCondition,
            status: ready ? "True" : "False",
            reason: ready ? "Realised" : "WaitsForVolume",
            message,
          },
        ],
      });
    },
  });
}
