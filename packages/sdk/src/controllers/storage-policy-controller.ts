import { type Controller, defineController, watchKind } from "../controller/define-controller.ts";
import { storagePolicyFinalizer, storagePolicyKind } from "../kinds/storage-policy-spec.ts";
import { volumeKind } from "../kinds/volume-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted } from "../resource/resource.ts";

/** A policy is in force when it is on disk, and stays for as long as a volume names it. */
export function storagePolicyController(): Controller {
  return defineController({
    kind: storagePolicyKind,
    watches: [
      watchKind(volumeKind, ({ metadata: { tenant }, spec: { policy } }) =>
        policy === undefined ? [] : [{ tenant, name: policy }],
      ),
    ],
    async reconcile(context, key) {
      const { object } = context;
      if (object === undefined) return;
      if (!isBeingDeleted(object)) {
        if (object.metadata.observedGeneration === object.metadata.generation) return;
        await context.updateStatus({ conditions: [{ type: readyCondition, status: "True", reason: "InForce" }] });
        return;
      }
      const users = context.cache
        .list(volumeKind)
        .filter(({ spec, metadata }) => spec.policy === key.name && metadata.tenant === key.tenant);
      if (users.length === 0) return context.removeFinalizer(storagePolicyFinalizer);
      const message = `${users.length} volumes have it, '${users[0]?.metadata.name}' among them`;
      await context.updateStatus({ conditions: [{ type: readyCondition, status: "False", reason: "InUse", message }] });
    },
  });
}
