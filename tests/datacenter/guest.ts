import { homedir } from "node:os";
import { join } from "node:path";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { buildGuestImage, type GuestImage } from "@vdc-os/guest-image";
import type { Datacenter } from "@vdc-os/sdk";
import { patienceMs } from "./patience.ts";

/** The guest image, built once for all tests of this user and kept between runs. */
export function guestImage(): Promise<GuestImage> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vdc-os");
  return buildGuestImage({ outputDirectory: join(cache, "guest"), cacheDirectory: join(cache, "packages") });
}

/** Makes the image 'guest', which VMs boot from. */
export async function addGuestImage(dc: Datacenter): Promise<void> {
  const { kernel, initrd, commandLine } = await guestImage();
  await dc.images.createAndWait({ name: "guest", spec: { boot: { kind: "kernel", kernel, initrd, commandLine } } });
}

let asked = 0;

/** Runs a command in a VM's guest, and returns what it says last. Fails after {@link patienceMs}. */
export async function askGuest(dc: Datacenter, name: string, command: string): Promise<string> {
  const tag = `ANSWER-${asked++}`;
  const { host = "", vmId = "" } = (await dc.vms.get(name)).status;
  const text = `{ ${command.replaceAll(/\s*\n\s*/g, " ")}; } >/tmp/out 2>&1; echo ${tag} $(tail -n 1 /tmp/out) END\n`;
  await dc.kernel.get(hypervisor, host).writeConsole({ vmId, text });
  const [, answer = ""] = await dc.vms.waitForConsole(name, new RegExp(`${tag} (.*) END`), { timeoutMs: patienceMs });
  return answer;
}

/** A command that has a guest write blocks of chance for ever, each to the beginning of its disk and, once the disk has it, to a file in memory. */
export function startWriting(capacityBytes: number): string {
  const blocks = capacityBytes / 65536 - 32;
  return `head -c ${capacityBytes} /dev/zero >/shadow;
    { i=0; while [ ! -f /stop ]; do i=$((i+1)); at=$(((i * 37) % ${blocks}));
    head -c 65536 /dev/urandom >/block;
    dd if=/block of=/dev/vda bs=65536 seek=$at conv=notrunc,fsync 2>/dev/null || echo $at >>/lost;
    dd if=/block of=/shadow bs=65536 seek=$at conv=notrunc 2>/dev/null;
    echo $i >/counted; mv /counted /count; done; touch /stopped; } & echo goes`;
}

/** A command that ends that, after which the disk is read from the volume. */
export const stopWriting =
  "touch /stop; while [ ! -f /stopped ]; do sleep 0.1; done; sync; echo 3 >/proc/sys/vm/drop_caches";
