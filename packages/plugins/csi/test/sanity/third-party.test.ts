import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { describe, expect, test } from "vitest";
import { serveCsi } from "../../src/server/serve-csi.ts";
import { openCsiStorage } from "../../src/provider/open-csi-storage.ts";
import { handleOf, memoryState, mib, temporaryFolder } from "../csi-pair.ts";
import { simulatedPresenter } from "../simulated-presenter.ts";

const { CSI_DRIVER, CSI_SANITY, CSI_NODE } = process.env;

/** Peers that nobody can fetch here: where there is one, its owner names it. So their absence is no failure, and is said. */
function withPeer(
  name: string,
  variable: string,
  value: string | undefined,
  run: (value: string) => Promise<void>,
): void {
  if (value === undefined) {
    test.skip(`${name}: SKIPPED, '${variable}' is not set: it names the peer, which no package manager of this project has`, () => {});
  } else test(name, { timeout: 300_000 }, () => run(value));
}

describe("peers that others made", () => {
  withPeer("the community's sanity suite passes over our driver", "CSI_SANITY", CSI_SANITY, async (binary) => {
    using folder = temporaryFolder();
    const world = new SimulatedWorld();
    const below = await handleOf(world.storage());
    const socket = join(folder.path, "csi.sock");
    const node = { nodeId: "host-1", directory: join(folder.path, "node"), presenter: simulatedPresenter };
    const server = await serveCsi({ socket, provider: below.handle, node });
    const options = {
      endpoint: socket,
      testvolumeaccesstype: "block",
      mountdir: join(folder.path, "mount"),
      stagingdir: join(folder.path, "staging"),
      testvolumesize: String(4 * mib),
      testvolumeexpandsize: String(8 * mib),
    };
    const args = Object.entries(options).map(([name, value]) => `-csi.${name}=${value}`);
    const output: string[] = [];
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (text) => output.push(String(text)));
    child.stderr.on("data", (text) => output.push(String(text)));
    const code = await new Promise((resolve) => child.once("close", resolve));
    await server.close();
    await below.stop();
    world.dispose();
    expect(code, output.join("").slice(-8_000)).toBe(0);
  });

  withPeer("our provider over another's driver (a socket, or a command)", "CSI_DRIVER", CSI_DRIVER, async (given) => {
    using folder = temporaryFolder();
    const state = await memoryState();
    const isSocket = !given.includes(" ") && (statSync(given, { throwIfNoEntry: false })?.isSocket() ?? false);
    const socket = isSocket ? given : join(folder.path, "csi.sock");
    const endpoint = isSocket ? { socket } : { socket, command: given.split(" ") };
    await mkdir(join(folder.path, "volumes"), { recursive: true });
    const storage = await openCsiStorage({
      config: {
        name: "csi",
        endpoint,
        nodes: [{ host: CSI_NODE ?? "host-1" }],
        directory: join(folder.path, "volumes"),
      },
      state: state.handle,
    });
    const { provider } = storage;
    const context = createOperationContext({ timeoutMs: 120_000 });
    const host = CSI_NODE ?? "host-1";
    try {
      const made = await provider.createVolume({ name: "vdc-peer", capacityBytes: 64 * mib }, context);
      const { volumeId } = made;
      expect((await provider.createVolume({ name: "vdc-peer", capacityBytes: 64 * mib }, context)).volumeId).toBe(
        volumeId,
      );
      const { transport } = await provider.attachVolume(
        { volumeId, host, access: "readWrite", generation: 1 },
        context,
      );
      expect(["block", "file"]).toContain(transport.kind);
      await provider.detachVolume({ volumeId, host, generation: 1 }, context);
      await provider.deleteVolume({ volumeId }, context);
    } finally {
      await storage.close();
      await state.stop();
    }
  });
});
