import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isVdcError } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { expect } from "vitest";
import { GrpcChannel } from "../../src/grpc/grpc-channel.ts";
import type { Sparse } from "../../src/grpc/message.ts";
import type { Method } from "../../src/grpc/method.ts";
import { serveCsi } from "../../src/server/serve-csi.ts";
import { controller, type controllerRpcs } from "../../src/spec/controller-service.ts";
import type { CsiVolume, VolumeCapability } from "../../src/spec/volume-messages.ts";
import { handleOf, mib } from "../csi-pair.ts";
import { simulatedPresenter } from "../simulated-presenter.ts";

/** A driver on a socket, and calls of it. */
export interface DriverUnderTest extends AsyncDisposable {
  readonly folder: string;
  readonly nodeId: string;
  call<Request, Response>(method: Method<Request, Response>, request: Sparse<Request>): Promise<Response>;
  /** Fails unless the call fails with that code. */
  refuses<Request, Response>(code: string, method: Method<Request, Response>, request: Sparse<Request>): Promise<void>;
  can(rpc: (typeof controllerRpcs)[keyof typeof controllerRpcs]): Promise<boolean>;
  /** Creates a volume of 4 MiB. */
  create(name: string, more?: Sparse<Parameters<typeof controller.createVolume.request.encode>[0]>): Promise<CsiVolume>;
}

/** The capability that all volumes here have. */
export const block: Sparse<VolumeCapability> = { block: {}, accessMode: { mode: 1 } };

/** Connects to a driver. */
export async function connectDriver(
  socketPath: string,
  folder: string,
  dispose: () => Promise<void>,
): Promise<DriverUnderTest> {
  const channel = new GrpcChannel({ socketPath });
  const call: DriverUnderTest["call"] = (method, request) => channel.call(method, request, { timeoutMs: 20_000 });
  const { node } = await import("../../src/spec/node-service.ts");
  const { nodeId } = await call(node.getInfo, {});
  return {
    folder,
    nodeId,
    call,
    async refuses(code, method, request) {
      const outcome = await call(method, request).then(
        (answer) => ({ succeeded: answer }),
        (error: unknown) => (isVdcError(error) ? error.code : error),
      );
      expect(outcome, `${method.path} with ${JSON.stringify(request)}`).toEqual(code);
    },
    async can(rpc) {
      const { capabilities } = await call(controller.getCapabilities, {});
      return capabilities.some((capability) => capability.rpc?.type === rpc);
    },
    async create(name, more = {}) {
      const { volume } = await call(controller.createVolume, {
        name,
        capacityRange: { requiredBytes: 4 * mib },
        volumeCapabilities: [block],
        ...more,
      });
      return volume as CsiVolume;
    },
    async [Symbol.asyncDispose]() {
      channel.close();
      await dispose();
    },
  };
}

/** Our driver over a provider. */
async function serve(provider: StorageProvider, nodeId: string, end: () => Promise<void>): Promise<DriverUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-csi-"));
  const below = await handleOf(provider);
  const socket = join(folder, "csi.sock");
  const server = await serveCsi({
    socket,
    provider: below.handle,
    node: { nodeId, directory: join(folder, "node"), presenter: simulatedPresenter },
    alpha: true,
  });
  return connectDriver(socket, folder, async () => {
    await server.close();
    await below.stop();
    await end();
    rmSync(folder, { recursive: true });
  });
}

/** Our driver, over a provider that has every facet and one that has few. */
export const drivers: Readonly<Record<string, () => Promise<DriverUnderTest>>> = {
  "the simulator": async () => {
    const world = new SimulatedWorld();
    return serve(world.storage(), "host-1", async () => world.dispose());
  },
  "thin provisioning": async () => {
    const pool = await createTestPool("here");
    return serve(pool.provider, "host-a", async () => pool[Symbol.asyncDispose]());
  },
};
