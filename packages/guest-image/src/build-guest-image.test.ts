import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";
import { buildGuestImage, type GuestImage } from "./build-guest-image.ts";
import { dataDiskMarkerOffset } from "./data-disk.ts";
import { hasDirectEntry } from "./kernel-image.ts";

const needed = ["apt-get", "dpkg-deb", "qemu-system-x86_64"];
const missing = missingPrograms(needed, "the guest image is neither built nor booted");

describe.skipIf(missing)("the guest image", () => {
  let directory: string;
  let image: GuestImage;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "vdc-guest-image-"));
    image = await buildGuestImage({ outputDirectory: join(directory, "images") });
  }, 180_000);

  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  test("holds an ELF kernel that is entered directly, and is found again without being built", async () => {
    expect(image.kernelFormat).toBe("elf");
    expect(hasDirectEntry(await readFile(image.kernel))).toBe(true);
    const steps: string[] = [];
    const again = await buildGuestImage({
      outputDirectory: join(directory, "images"),
      onProgress: (text) => steps.push(text),
    });
    expect(again).toEqual(image);
    expect(steps).toEqual([]);
    expect(await readdir(join(directory, "images"))).toHaveLength(1);
  });

  test("two builds at once give one image, and a cancelled build leaves nothing", async () => {
    const outputDirectory = join(directory, "others");
    const cancelled = new AbortController();
    const aborted = buildGuestImage({
      outputDirectory,
      signal: cancelled.signal,
      onProgress: () => cancelled.abort(new Error("enough")),
    });
    await expect(aborted).rejects.toThrow("enough");
    expect(await readdir(outputDirectory)).toEqual([]);
    const [one, other] = await Promise.all([
      buildGuestImage({ outputDirectory }),
      buildGuestImage({ outputDirectory }),
    ]);
    expect(one).toEqual(other);
    expect(one.version).toBe(image.version);
    expect(await readdir(outputDirectory)).toHaveLength(1);
  }, 120_000);

  test("boots, reads and marks its disk, fetches a page, runs what is typed, and heeds the power button", async ({
    signal,
  }) => {
    const disk = join(directory, "disk.raw");
    await copyFile(image.dataDisk, disk);
    const web = await serve("hello from outside\n");
    const knobs = `vdc.host=web-1 vdc.ip=10.0.2.15/24 vdc.gw=10.0.2.2 vdc.fetch=http://10.0.2.2:${web.port}/`;
    const guest = new Guest(image, { signal, disk, knobs, qmp: join(directory, "qmp") });

    expect(await guest.line(/^VDC-DISK .*/)).toBe("VDC-DISK 67108864 vdc-data-disk golden tar=1");
    expect(await guest.line(/^VDC-MARKER .*/)).toBe("VDC-MARKER 1");
    expect(await guest.line(/^VDC-READY [\d.]+/)).toBeDefined();
    expect(await guest.line(/^VDC-FETCH .*/)).toMatch(/^VDC-FETCH [\d.]+ hello from outside$/);

    guest.type("wget -q -O - http://10.0.2.15/; cat /www/disk.html");
    expect(await guest.line(/^This is .*/)).toBe("This is web-1 at 10.0.2.15/24, disk: vdc-data-disk golden tar=1");
    expect(await guest.line(/^This page.*/)).toBe("This page came with the data disk.");
    expect(await guest.line(/^VDC-DONE .*/)).toBe("VDC-DONE 0");
    guest.type("exit 3");
    expect(await guest.line(/^VDC-DONE .*/)).toBe("VDC-DONE 3");

    const file = await open(disk);
    const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, dataDiskMarkerOffset);
    await file.close();
    expect(buffer.toString("latin1").split("\n")[0]).toBe("VDC-MARKER 1 web-1");

    guest.pressPowerButton();
    expect(await guest.line(/^VDC-POWEROFF .*/)).toBeDefined();
    expect(await guest.exited).toBe(0);
  }, 120_000);

  test("boots without disk and network, and switches off when told to", async ({ signal }) => {
    const guest = new Guest(image, { signal, knobs: "vdc.host=bare", qmp: join(directory, "qmp-bare") });
    expect(await guest.line(/^VDC-READY [\d.]+/)).toBeDefined();
    guest.type("poweroff");
    expect(await guest.exited).toBe(0);
  }, 120_000);
});

interface GuestOptions {
  /** Ends every wait for a line. */
  readonly signal: AbortSignal;
  readonly knobs: string;
  readonly qmp: string;
  readonly disk?: string;
}

/** One QEMU, with the console as an endless row of lines. It is killed when the test ends, however it ends. */
class Guest {
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  readonly #qmp: string;
  readonly #signal: AbortSignal;
  #text = "";
  #wake: () => void = () => {};

  constructor(image: GuestImage, { signal, knobs, qmp, disk }: GuestOptions) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake());
    this.#qmp = qmp;
    const machine = ["-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", "tcg", "-m", "128"];
    const boot = ["-kernel", image.kernel, "-initrd", image.initrd, "-append", `${image.commandLine} ${knobs}`];
    const disks = ["-drive", `if=none,id=disk,format=raw,file=${disk}`, "-device", "virtio-blk-pci,drive=disk"];
    const network = ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="];
    const control = ["-serial", "stdio", "-qmp", `unix:${qmp},server=on,wait=off`];
    const devices = disk === undefined ? [] : [...disks, ...network];
    this.#process = spawn("qemu-system-x86_64", [...machine, ...boot, ...devices, ...control], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text.replaceAll("\r", "");
      this.#wake();
    });
    this.exited = new Promise((resolve) => {
      this.#process.on("close", (code) => {
        resolve(code);
        this.#wake();
      });
    });
    onTestFinished(async () => {
      this.#process.kill("SIGKILL");
      await this.exited;
    });
  }

  /** The next line that matches; it and all lines before it are then gone. */
  async line(pattern: RegExp): Promise<string | undefined> {
    for (;;) {
      const lines = this.#text.split("\n");
      const index = lines.findIndex((line, at) => at < lines.length - 1 && pattern.test(line));
      if (index !== -1) {
        this.#text = lines.slice(index + 1).join("\n");
        return lines[index];
      }
      if (this.#signal.aborted) throw new Error(`'${pattern}' never came. The guest said:\n${this.#text}`);
      if (this.#process.exitCode !== null) throw new Error(`The guest ended. It said:\n${this.#text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  type(text: string): void {
    this.#process.stdin?.write(`${text}\n`);
  }

  pressPowerButton(): void {
    const socket = connect(this.#qmp);
    socket.on("error", () => {});
    socket.write('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}');
    this.#process.on("close", () => socket.destroy());
  }
}

async function serve(body: string): Promise<{ readonly port: number }> {
  const server: Server = createServer((_, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port };
}
