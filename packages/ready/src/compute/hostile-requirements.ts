import type { VmDisk, VmSpec } from "@vdc-os/core/compute/v1";
import type { PortAttachment } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { strangeIds } from "../suite/strange-ids.ts";
import {
  type ComputeRequirement,
  type ComputeTest,
  define,
  listAll,
  pullPlug,
  readUntil,
  run,
} from "./compute-instance.ts";

const clause =
  'Hypervisor: "Names, ids and paths of a spec are taken as they are, or refused with `INVALID_ARGUMENT`; none is an option of the monitor."';

/** What is in a kernel's arguments and is one argument all the same. */
const strangeArguments = ` vdc.strange="a,b=c" $(touch x) %s -S ;é '{"a":"b"}' \\ line\nbreak`;

const strangePaths: readonly string[] = [
  "/none,script=/bin/true",
  "/none\nbreak",
  "-S",
  "/no%s",
  "$HOME/x",
  "é".repeat(40),
];

/** Some of those, where there are many places for them, or each takes time. */
const someIds: readonly string[] = [
  "../../up",
  "__proto__",
  "a,b=c",
  "nul\u0000byte",
  "line\nbreak",
  '{"a":"b"}',
  "x".repeat(256),
];

/** What a call returns; nothing where it is refused. */
async function orRefused<T>(call: Promise<T>, what: string): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    await mustReject(Promise.reject(error), ["INVALID_ARGUMENT", "UNIMPLEMENTED"], what);
    return undefined;
  }
}

/** Defines a VM, if it is not refused; its spec must come back as it was. Whether it was taken. It is gone afterwards. */
async function isTaken(test: ComputeTest, change: Partial<VmSpec>, what: string): Promise<boolean> {
  const vm = await orRefused(define(test, "strange", change), what);
  if (vm === undefined) return false;
  const { spec } = await test.provider.getVm({ vmId: vm.vmId }, test.operation());
  mustEqual(spec, { ...test.instance.spec, ...change }, `the spec of a VM with ${what}`);
  await test.provider.deleteVm({ vmId: vm.vmId }, test.operation());
  return true;
}

/** What names and values must do that were made to be taken for something else. */
export const hostileRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.hostile.ids",
    title: "an id that was never given out is not found, whatever is in it, and touches nothing",
    clause: 'Operations: errors ["NOT_FOUND", ...]; Hypervisor.deleteVm: "Deleting what is absent succeeds."',
    level: "core",
    async run(test) {
      const { provider } = test;
      const web = await run(test, "web");
      const codes = ["NOT_FOUND", "INVALID_ARGUMENT"] as const;
      for (const vmId of strangeIds) {
        await mustReject(provider.getVm({ vmId }, test.operation()), codes, `getVm of '${vmId}'`);
        await mustReject(provider.startVm({ vmId, generation: 1 }, test.operation()), codes, `startVm of '${vmId}'`);
        await mustReject(provider.stopVm({ vmId, mode: "hard" }, test.operation()), codes, `stopVm of '${vmId}'`);
        await mustReject(provider.vmStatistics({ vmId }, test.operation()), codes, `vmStatistics of '${vmId}'`);
        await mustReject(
          provider.writeConsole({ vmId, text: "x" }, test.operation()),
          codes,
          `writeConsole of '${vmId}'`,
        );
        const console = provider.readConsole({ vmId }, test.operation())[Symbol.asyncIterator]();
        await mustReject(console.next(), codes, `readConsole of '${vmId}'`);
        await orRefused(provider.deleteVm({ vmId }, test.operation()), `deleteVm of '${vmId}'`);
        for (const filter of [{ name: vmId }, { ownerDatacenter: vmId }]) {
          mustEqual((await provider.listVms(filter, test.operation())).items, [], `the VMs of '${vmId}'`);
        }
      }
      mustEqual(
        (await listAll(test)).flatMap(({ items }) => items),
        [web],
        "the VMs after that",
      );
    },
  },
  {
    id: "compute.hostile.names",
    title: "every name that the contract allows can be a VM's, and comes back as it was",
    clause: "CreateVm.name: 1 to 63 lower-case letters, digits, `-` and `.`",
    level: "core",
    async run(test) {
      const names = ["0", "a..b", "a.lock", "con", "constructor", "vm.json", "run", "tmp", "x".repeat(63)].sort();
      for (const name of names) mustEqual((await define(test, name)).name, name, "a VM's name");
      const vms = (await listAll(test)).flatMap(({ items }) => items);
      mustEqual(vms.map(({ name }) => name).sort(), names, "the names in the list");
      for (const { name, vmId } of vms) {
        mustEqual((await define(test, name)).vmId, vmId, `the id of a repeated create of '${name}'`);
        await test.provider.deleteVm({ vmId }, test.operation());
      }
      mustEqual(
        (await listAll(test)).flatMap(({ items }) => items),
        [],
        "the VMs after all were deleted",
      );
    },
  },
  {
    id: "compute.hostile.devices",
    title: "ids of disks and NICs, and where these are joined, are taken as they are, or refused",
    clause,
    level: "core",
    async run(test) {
      const stream = { kind: "qemu-stream", path: "/nowhere/nic.sock" } as const;
      const attachments: readonly PortAttachment[] = [
        ...strangePaths.map((path) => ({ kind: "qemu-stream", path }) as const),
        ...someIds.map((interfaceName) => ({ kind: "tap", interfaceName }) as const),
        ...someIds.map((interfaceId) => ({ kind: "ovs", bridge: "br-int", interfaceId }) as const),
        ...someIds.map((bridge) => ({ kind: "ovs", bridge, interfaceId: "nic" }) as const),
      ];
      const mac = "52:54:00:00:00:01";
      for (const id of strangeIds) {
        await isTaken(test, { nics: [{ id, mac, attachment: stream }] }, `a NIC '${id}'`);
        const transport = { kind: "file", path: "/nowhere/disk.raw", format: "raw" } as const;
        await isTaken(test, { disks: [{ id, transport, readOnly: false }] }, `a disk '${id}'`);
      }
      for (const attachment of attachments) {
        const what = `a NIC at ${JSON.stringify(attachment)}`;
        await isTaken(test, { nics: [{ id: "nic0", mac, attachment }] }, what);
      }
      const twice = { id: "same", mac, attachment: stream };
      const call = define(test, "twice", { nics: [twice, twice] });
      await mustReject(call, "INVALID_ARGUMENT", "a VM that has two NICs of one id");
      mustEqual(
        (await listAll(test)).flatMap(({ items }) => items),
        [],
        "the VMs after that",
      );
    },
  },
  {
    id: "compute.hostile.starts",
    title: "a VM runs whose kernel's arguments and disks' ids are strange, and one that could not be is refused",
    clause,
    level: "core",
    async run(test) {
      const { boot } = test.instance.spec;
      const disks: VmDisk[] = [];
      for (const id of test.instance.makeVolume === undefined ? [] : someIds) {
        const transport = { kind: "file", path: "/nowhere/disk.raw", format: "raw" } as const;
        if (!(await isTaken(test, { disks: [{ id, transport, readOnly: false }] }, `a disk '${id}'`))) continue;
        const volume = await test.instance.makeVolume?.(1 << 20);
        if (volume !== undefined) disks.push({ id, transport: volume.transport, readOnly: false });
      }
      const strange: VmSpec["boot"] =
        boot.kind === "kernel" ? { ...boot, commandLine: `${boot.commandLine}${strangeArguments}` } : boot;
      const vm = await orRefused(define(test, "strange", { boot: strange, disks }), "strange arguments of a kernel");
      if (vm !== undefined) {
        const { state, spec } = await test.provider.startVm({ vmId: vm.vmId, generation: 1 }, test.operation());
        mustEqual([state, spec.boot, spec.disks], ["running", strange, disks], "the VM that was started");
        if (test.instance.greeting !== undefined) await readUntil(test, vm.vmId, test.instance.greeting);
        await pullPlug(test, vm.vmId);
      }
      if (boot.kind !== "kernel") return;
      for (const change of [{ commandLine: "a\u0000b" }, { kernel: "/no\u0000ne" }, { initrd: "/no\u0000ne" }]) {
        const what = `a VM that boots with ${JSON.stringify(change)}`;
        const made = await orRefused(define(test, "nul", { boot: { ...boot, ...change } }), what);
        if (made === undefined) continue;
        const { vmId } = made;
        const started = await orRefused(test.provider.startVm({ vmId, generation: 1 }, test.operation()), what);
        must(started === undefined || test.description.implementation.simulated, `${what} must not run`);
        if (started !== undefined) await pullPlug(test, vmId);
        await test.provider.deleteVm({ vmId }, test.operation());
      }
    },
  },
  {
    id: "compute.hostile.tokens",
    title: "a page token that was made up is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`",
    level: "core",
    async run(test) {
      await define(test, "web");
      for (const pageToken of ["", "0", "-1", "web", "e30=", "{}", "null", "\u0000", "x".repeat(1024)]) {
        const call = test.provider.listVms({ pageToken }, test.operation());
        await mustReject(call, ["ABORTED", "INVALID_ARGUMENT"], `page token '${pageToken.slice(0, 40)}'`);
      }
    },
  },
  {
    id: "compute.list.changes",
    title: "a VM that stays is listed once while others come and go between pages",
    clause: 'PageRequest: "The token that the page before returned."',
    level: "core",
    async run(test) {
      for (const name of ["a", "c", "e", "g"]) await define(test, name);
      const seen: string[] = [];
      let pageToken: string | undefined;
      let gone = "";
      do {
        const input = pageToken === undefined ? { limit: 1 } : { limit: 1, pageToken };
        const page = await test.provider.listVms(input, test.operation());
        seen.push(...page.items.map(({ name }) => name));
        pageToken = page.nextPageToken;
        must(seen.length <= 10, "a list must end");
        const [first] = page.items;
        if (seen.length !== 1 || first === undefined) continue;
        gone = first.name;
        await test.provider.deleteVm({ vmId: first.vmId }, test.operation());
        await define(test, "z");
      } while (pageToken !== undefined);
      const stayed = ["a", "c", "e", "g"].filter((name) => name !== gone);
      const counts = stayed.map((name) => seen.filter((one) => one === name).length);
      mustEqual(
        counts,
        stayed.map(() => 1),
        `how often each VM that stayed was listed (${seen.join(", ")})`,
      );
    },
  },
];
