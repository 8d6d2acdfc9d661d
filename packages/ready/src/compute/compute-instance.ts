import { type OwnerStamp, isVdcError, type Page, type WatchItem } from "@vdc-os/core";
import type { Hypervisor, Vm, VmSpec } from "@vdc-os/core/compute/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { must } from "../suite/must.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A volume that a VM of the host can have as a disk. */
export interface ComputeVolume {
  readonly transport: VolumeTransport;
  /** All of it. No VM uses it meanwhile. */
  read(): Promise<Uint8Array>;
  write(content: Uint8Array): Promise<void>;
  /** Makes it larger, with zeroes at its end; its transport stays. A VM may run on it. Without it the facet `diskResize` is not tried, and the verdict is `partial`. */
  grow?(capacityBytes: number): Promise<void>;
}

/** What the factory gives for the compute suite. */
export interface ComputeInstance extends Instance<Hypervisor> {
  /** A VM that boots, small and quick, and without disks and NICs. Each requirement makes a few of them. */
  readonly spec: VmSpec;
  /** What its guest writes on the console when it has booted. Without it the console's content is not tried, and the verdict is `partial`. */
  readonly greeting?: string | undefined;
  /**
   * Ends the hypervisor as `kill -9` would, or as near to that as can be, and opens what it left; VMs go on. Without it that is not
   * tried, and the verdict is `partial`.
   */
  reopen?(): Promise<Hypervisor>;
  /** Makes a volume that reads as zeroes. Without it the facets that move and copy disks are not tried, and the verdict is `partial`. */
  makeVolume?(capacityBytes: number): Promise<ComputeVolume>;
}

/** A requirement of the compute suite. */
export type ComputeRequirement = Requirement<Hypervisor, ComputeInstance>;

/** What a compute requirement works with. */
export type ComputeTest = SuiteTest<Hypervisor, ComputeInstance>;

/** An owner stamp of a datacenter. */
export function stampOf(datacenter: string): OwnerStamp {
  return { datacenter, tenant: "default", kind: "vm", name: "web", uid: `uid-${datacenter}` };
}

/** Defines a VM. */
export function define(test: ComputeTest, name: string, change: Partial<VmSpec> = {}): Promise<Vm> {
  return test.provider.createVm({ name, spec: { ...test.instance.spec, ...change } }, test.operation());
}

/** Defines a VM and runs it. */
export async function run(test: ComputeTest, name: string, generation = 1): Promise<Vm> {
  const { vmId } = await define(test, name);
  return test.provider.startVm({ vmId, generation }, test.operation());
}

/** Kills the hypervisor and opens it again. */
export async function reopen(test: ComputeTest): Promise<Hypervisor> {
  if (test.instance.reopen === undefined) test.skip("the factory can't reopen the hypervisor");
  return test.wrap(await test.instance.reopen());
}

/** Pulls the plug of a VM. */
export function pullPlug(test: ComputeTest, vmId: string): Promise<Vm> {
  return test.provider.stopVm({ vmId, mode: "hard" }, test.operation());
}

/** All pages of a list. */
export async function listAll(
  test: ComputeTest,
  filter: { readonly limit?: number; readonly ownerDatacenter?: string; readonly name?: string } = {},
): Promise<readonly Page<Vm>[]> {
  const pages: Page<Vm>[] = [];
  let pageToken: string | undefined;
  do {
    const input = pageToken === undefined ? filter : { ...filter, pageToken };
    const page = await test.provider.listVms(input, test.operation());
    pages.push(page);
    must(pages.length <= 100, "a list must end");
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return pages;
}

/** Takes a watch's items until the latest one of a VM satisfies the predicate. */
export async function watchUntil(
  watch: AsyncIterator<WatchItem<Vm>>,
  vmId: string,
  what: string,
  isLast: (item: WatchItem<Vm> & { readonly object: Vm }) => boolean,
): Promise<void> {
  for (;;) {
    const item = await watch.next();
    must(!item.done, `the watch ended before it told that the VM is ${what}`);
    const { value } = item;
    must(value.type !== "resync", "a watch that has just begun has no gap");
    if (value.object.vmId === vmId && isLast(value)) return;
  }
}

/** The exact reason of a failure. */
export function reasonOf(error: Error): string {
  return isVdcError(error) ? error.reason : error.name;
}

/** Reads a console until the text is in what was read; fails when it ends before. */
export async function readUntil(test: ComputeTest, vmId: string, text: string): Promise<void> {
  let read = "";
  for await (const portion of test.provider.readConsole({ vmId, follow: true }, test.operation())) {
    read += portion.text;
    if (read.includes(text)) return;
  }
  must(false, `the console ended before '${text}' came`);
}
