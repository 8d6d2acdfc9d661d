import { readFile, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { Kernel, use } from "@vdc-os/core/kernel";
import { killProcess } from "@vdc-os/core/local";
import { NbdServer } from "@vdc-os/nbd";
import { createImage, Qcow2Image } from "@vdc-os/qcow2";
import { describe, expect, onTestFinished, test } from "vitest";
import { guestImage, guestSpec, lacksQemu } from "../test/guest.ts";
import { consoleLine, operation, TestHost } from "../test/test-host.ts";
import plugin from "./plugin.ts";
import { findVmProcesses } from "./process-table.ts";

async function makeHost(change: Parameters<typeof TestHost.create>[0] = {}): Promise<TestHost> {
  const host = await TestHost.create(change);
  onTestFinished(() => host.dispose());
  return host;
}

test("a host without QEMU says how to install it", async () => {
  const config = { name: "host-1", directory: (await makeHost()).directory, qemu: "no-such-qemu" };
  const kernel = new Kernel({ plugins: [use(plugin, { config })] });
  await expect(kernel.start()).rejects.toThrow(/no 'no-such-qemu' on this host: install QEMU/);
});

describe.skipIf(lacksQemu())("a VM", () => {
  test("boots, is typed to, is measured, and heeds the power button", async ({ signal }) => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const spec = guestSpec(await guestImage(), "vdc.host=web-1");
    const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    await consoleLine(hypervisor, vmId, /^VDC-READY/, signal);

    await hypervisor.writeConsole({ vmId, text: "hostname\n" }, operation());
    expect(await consoleLine(hypervisor, vmId, /^web-1$/, signal)).toBe("web-1");
    const used = await hypervisor.vmStatistics({ vmId }, operation());
    expect(used.cpuTimeMs).toBeGreaterThan(300);
    expect(used.residentBytes).toBeGreaterThan(32 << 20);
    for (const socket of [`${vmId}.qmp`, `${vmId}.con`]) {
      expect((await stat(host.socket(socket))).mode & 0o077).toBe(0);
    }

    const stopped = await hypervisor.stopVm({ vmId, mode: "guest" }, operation(signal));
    expect(stopped).toMatchObject({ state: "off", detail: "the guest shut down (guest-shutdown)" });
    expect(await findVmProcesses(host.directory)).toEqual([]);
    expect(await consoleLine(hypervisor, vmId, /^VDC-POWEROFF/)).toBeDefined();
  });

  test("whose QEMU is killed has crashed, says so, and can be started again", async () => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const { vmId } = await hypervisor.createVm({ name: "web", spec: guestSpec(await guestImage()) }, operation());
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    const [process] = await findVmProcesses(host.directory);
    await killProcess(process!);
    for await (const item of hypervisor.watchVms({}, operation())) {
      if (item.type === "resync" || item.object.state === "running") continue;
      expect(item.object.state).toBe("crashed");
      expect(item.object.detail).toContain("SIGKILL");
      break;
    }
    expect((await hypervisor.startVm({ vmId, generation: 1 }, operation())).state).toBe("running");
  });

  test("whose monitor does not answer when the host returns is unknown, and can be stopped", async () => {
    const host = await makeHost();
    const { vmId } = await (async () => {
      const hypervisor = await host.open();
      const made = await hypervisor.createVm({ name: "web", spec: guestSpec(await guestImage()) }, operation());
      return hypervisor.startVm({ vmId: made.vmId, generation: 1 }, operation());
    })();
    await rm(host.socket(`${vmId}.qmp`));
    const hypervisor = await host.open();
    expect((await hypervisor.getVm({ vmId }, operation())).state).toBe("unknown");
    expect((await hypervisor.stopVm({ vmId, mode: "guest" }, operation())).state).toBe("off");
    expect(await findVmProcesses(host.directory)).toEqual([]);
  }, 30_000);

  test("that QEMU refuses is off, with what QEMU said", async () => {
    const hypervisor = await (await makeHost()).open();
    const boot = { kind: "kernel", kernel: "/no/such/kernel", commandLine: "" } as const;
    const spec = guestSpec(await guestImage(), "", { boot });
    const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
    await expect(hypervisor.startVm({ vmId, generation: 1 }, operation())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_QEMU_REFUSED",
      message: expect.stringContaining("/no/such/kernel"),
    });
    expect(await hypervisor.getVm({ vmId }, operation())).toMatchObject({
      state: "off",
      detail: expect.stringContaining("/no/such/kernel"),
    });
  });

  test("whose memory the host has not is not started", async () => {
    const hypervisor = await (await makeHost({ memoryBytes: 200 << 20 })).open();
    const spec = guestSpec(await guestImage());
    const one = await hypervisor.createVm({ name: "one", spec }, operation());
    const two = await hypervisor.createVm({ name: "two", spec }, operation());
    await hypervisor.startVm({ vmId: one.vmId, generation: 1 }, operation());
    const start = hypervisor.startVm({ vmId: two.vmId, generation: 1 }, operation());
    await expect(start).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });

  test("without a record is ended when the host returns", async () => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const { vmId } = await hypervisor.createVm({ name: "web", spec: guestSpec(await guestImage()) }, operation());
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    await hypervisor.close();
    await rm(join(host.directory, "vms", vmId), { recursive: true });
    const again = await host.open();
    expect(await findVmProcesses(host.directory)).toEqual([]);
    expect((await again.listVms({}, operation())).items).toEqual([]);
  });

  test("writes to a served disk while the server is restarted", async ({ signal }) => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const path = join(host.directory, "disk.qcow2");
    await createImage({ path, virtualSizeBytes: 64 << 20 });
    const image = await Qcow2Image.open(path);
    onTestFinished(() => image.close());
    const socket = host.socket("disk.nbd");
    const writes = { count: 0 };
    const restarted = Promise.withResolvers<void>();
    const serve = async (onWrite: () => void): Promise<NbdServer> => {
      const server = new NbdServer();
      const backend = {
        sizeBytes: image.sizeBytes,
        read: (target: Buffer, offset: number) => image.readSync(target, offset),
        write: (source: Buffer, offset: number) => {
          image.writeSync(source, offset);
          writes.count += 1;
          onWrite();
        },
        flush: () => image.flushSync(),
      };
      server.addExport({ name: "vol-1", backend });
      await server.listenUnix(socket);
      onTestFinished(() => server.close());
      return server;
    };
    const first = await serve(() => {
      if (writes.count !== 3) return;
      const restart = async (): Promise<void> => {
        await first.close();
        await serve(() => {});
      };
      restart().then(restarted.resolve, restarted.reject);
    });

    const transport = { kind: "nbd-unix", path: socket, exportName: "vol-1" } as const;
    const spec = guestSpec(await guestImage(), "", { disks: [{ id: "disk0", readOnly: false, transport }] });
    const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    await consoleLine(hypervisor, vmId, /^VDC-READY/, signal);
    const command = "cat /sys/block/vda/serial; yes VDC-OS! | head -c 4194304 | dd of=/dev/vda bs=65536 conv=fsync";
    await hypervisor.writeConsole({ vmId, text: `${command}\n` }, operation());
    expect(await consoleLine(hypervisor, vmId, /^VDC-DONE/, signal)).toBe("VDC-DONE 0");
    await restarted.promise;
    const content = Buffer.alloc(4 << 20);
    image.readSync(content, 0);
    expect(content.equals(Buffer.from("VDC-OS!\n".repeat(content.length / 8)))).toBe(true);
    const { disks } = await hypervisor.vmStatistics({ vmId }, operation());
    expect(disks[0]).toMatchObject({ id: "disk0" });
    expect(disks[0]?.writtenBytes).toBeGreaterThanOrEqual(4 << 20);
  });

  test("whose disk is not served is not started, and may be tried again", async () => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const transport = { kind: "nbd-unix", path: host.socket("none.nbd"), exportName: "vol-1" } as const;
    const spec = guestSpec(await guestImage(), "", { disks: [{ id: "disk0", readOnly: false, transport }] });
    const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
    const start = hypervisor.startVm({ vmId, generation: 1 }, operation());
    await expect(start).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_DISK_UNREACHABLE", retryable: true });
  });

  test("reaches another over what joins their NICs", async ({ signal }) => {
    const host = await makeHost();
    const hypervisor = await host.open();
    const image = await guestImage();
    const start = async (name: string, index: number, knobs: string): Promise<string> => {
      const attachment = { kind: "qemu-stream", path: host.socket(`${name}.nic`) } as const;
      const nics = [{ id: "nic0", mac: `52:54:00:00:00:0${index}`, attachment }];
      const spec = guestSpec(image, `vdc.host=${name} vdc.ip=10.9.0.${index}/24 ${knobs}`, { nics });
      const { vmId } = await hypervisor.createVm({ name, spec }, operation());
      await hypervisor.startVm({ vmId, generation: 1 }, operation());
      return vmId;
    };
    await start("one", 1, "");
    const two = await start("two", 2, "vdc.fetch=http://10.9.0.1/");
    const [left, right] = ["one", "two"].map((name) => connect(host.socket(`${name}.nic`)));
    left?.pipe(right!).pipe(left);
    onTestFinished(() => {
      left?.destroy();
      right?.destroy();
    });
    expect(await consoleLine(hypervisor, two, /^VDC-FETCH/, signal)).toContain("This is one at 10.9.0.1/24");
  });

  test("finds the accelerator by a probe, and keeps what was found", async () => {
    const host = await makeHost({ accelerator: "auto" });
    const { accelerator } = await (await host.open()).computeInventory({}, operation());
    expect(accelerator.evidence).toMatch(accelerator.kind === "kvm" ? /ran under it/ : /^tcg: /);
    const again = await (await host.open()).computeInventory({}, operation());
    expect(again.accelerator).toEqual(accelerator);
    const kept = await readFile(join(host.directory, "accelerator.json"), "utf8").catch(() => undefined);
    if (kept !== undefined) expect(JSON.parse(kept).evidence).toBe(accelerator.evidence);
  });
});
