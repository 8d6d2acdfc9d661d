import { isVdcError, VdcError } from "@vdc-os/core";
import type { BootSource, Vm, VmSpec } from "@vdc-os/core/compute/v1";
import { externalNameOf } from "../../journal/external-name.ts";
import type { ImageSpec } from "../../kinds/image-spec.ts";
import type { DatacenterProviders } from "../providers.ts";
import { settleIntents } from "../settle-intents.ts";
import type { VmAttachments } from "./attachments.ts";
import type { ChosenHost, VmContext, VmObject } from "./vm-object.ts";

/** The VM as its host's hypervisor has it, if it does. Fails with `UNAVAILABLE` when the host does not answer. */
export async function findVm(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  host: ChosenHost | string,
): Promise<Vm | undefined> {
  const compute = providers.compute.get(typeof host === "string" ? host : host.name);
  const { items } = await compute.listVms({ name: externalNameOf(object), limit: 1 }, context.operation);
  return items[0];
}

/** What a VM is started from. */
export interface StartVmOptions {
  readonly image: ImageSpec;
  readonly attachments: VmAttachments;
  /** The VM as the hypervisor has it now. */
  readonly found: Vm | undefined;
}

/** Defines the VM with its present attachments, and starts it with its generation. */
export async function startVm(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  options: StartVmOptions,
): Promise<Vm> {
  const { host, generation } = object.status;
  if (host === undefined || generation === undefined)
    throw new VdcError("INTERNAL", `VM '${object.metadata.name}' has no host yet`);
  const compute = providers.compute.get(host);
  const { operation, signal } = context;
  const name = externalNameOf(object);
  const spec: VmSpec = {
    cpus: object.spec.cpus,
    memoryBytes: object.spec.memoryBytes,
    boot: bootOf(options.image, object.spec.commandLine),
    disks: options.attachments.disks,
    nics: options.attachments.vmNics,
  };
  const intent = await context.journal.begin({
    object,
    provider: `compute/${host}`,
    action: "start",
    externalName: name,
    signal,
  });
  let vm: Vm;
  try {
    vm = await compute.createVm({ name, spec, owner: context.ownerStamp }, operation);
  } catch (error) {
    if (!isVdcError(error, "ALREADY_EXISTS")) throw error;
    // What a manager that was killed had asked the host for may have come about only now.
    const found = options.found ?? (await findVm(context, object, providers, host));
    if (found !== undefined) {
      // It was defined with the attachments of an older generation, which no longer let it in.
      await compute.stopVm({ vmId: found.vmId, mode: "hard" }, operation);
      await compute.deleteVm({ vmId: found.vmId }, operation);
    }
    vm = await compute.createVm({ name, spec, owner: context.ownerStamp }, operation);
  }
  await context.updateStatus((present) => ({ status: { ...present.status, vmId: vm.vmId } }));
  const started = await compute.startVm({ vmId: vm.vmId, generation }, operation);
  await context.journal.done(intent, { signal });
  return started;
}

function bootOf(image: ImageSpec, words: string): BootSource {
  if (image.boot.kind === "disk") return image.boot;
  return { ...image.boot, commandLine: [image.boot.commandLine, words].filter((part) => part !== "").join(" ") };
}

/** Stops a VM wherever it may run. Stopping what is off, or nowhere, succeeds. */
export async function stopVm(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  mode: "guest" | "hard",
): Promise<void> {
  const { host } = object.status;
  if (host === undefined) return;
  const vm = await findVm(context, object, providers, host);
  if (vm === undefined || vm.state === "off") return;
  await providers.compute.get(host).stopVm({ vmId: vm.vmId, mode, guestTimeoutMs: 10_000 }, context.operation);
}

/** Has the hypervisor forget a VM that is off. */
export async function removeVm(context: VmContext, object: VmObject, providers: DatacenterProviders): Promise<void> {
  const { host } = object.status;
  if (host === undefined) return;
  const vm = await findVm(context, object, providers, host);
  if (vm !== undefined) await providers.compute.get(host).deleteVm({ vmId: vm.vmId }, context.operation);
  await settleIntents(context, object);
}
