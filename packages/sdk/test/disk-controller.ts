import { type Controller, defineController } from "../src/controller/define-controller.ts";
import { externalNameOf } from "../src/journal/external-name.ts";
import { isBeingDeleted } from "../src/resource/resource.ts";
import { disk } from "./disk-kind.ts";
import type { FakeSession } from "./fake-provider.ts";

/** The controller that plugs kind `Disk` onto a fake provider: what a real one looks like, in small. */
export function diskController(provider: FakeSession): Controller {
  return defineController({
    kind: disk,
    backoffBaseMs: 10,
    async reconcile(context) {
      const { object, journal } = context;
      if (object === undefined) return;
      const externalName = externalNameOf(object);
      const intend = (action: string) => journal.begin({ object, provider: "fake", action, externalName });
      if (isBeingDeleted(object)) {
        if (!object.metadata.finalizers.includes("test.disk")) return;
        const intent = await intend("delete");
        await provider.delete(externalName);
        for (const open of [...context.intents, intent]) await journal.done(open);
        await context.removeFinalizer("test.disk");
        return;
      }
      const { sizeBytes } = object.spec;
      const found = await provider.get(externalName);
      if (found === undefined) {
        const intent = await intend("create");
        await provider.create({ name: externalName, sizeBytes, owner: context.ownerStamp });
        await journal.done(intent);
      } else if (found.sizeBytes !== sizeBytes) {
        await provider.resize(externalName, sizeBytes);
      }
      for (const open of context.intents) await journal.done(open);
      await context.updateStatus({
        status: { externalName, sizeBytes },
        conditions: [{ type: "Ready", status: "True", reason: "Realised" }],
      });
    },
  });
}
