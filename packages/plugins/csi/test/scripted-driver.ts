import { writeFile, rm } from "node:fs/promises";
import { VdcError } from "@vdc-os/core";
import { type GrpcServer, handler, serveGrpc } from "../src/grpc/grpc-server.ts";
import type { Sparse } from "../src/grpc/message.ts";
import type { Method } from "../src/grpc/method.ts";
import { controller } from "../src/spec/controller-service.ts";
import { identity } from "../src/spec/identity-service.ts";
import { node } from "../src/spec/node-service.ts";

/** A call that a driver got. */
export interface DriverCall {
  readonly name: string;
  readonly request: Readonly<Record<string, unknown>>;
}

type Answer = (request: never) => unknown;

/** A driver that does what a test says. */
export interface ScriptedDriver extends AsyncDisposable {
  readonly calls: DriverCall[];
  /** Answers of methods, by name; those that are left out do what a simple driver does. */
  readonly answers: Record<string, Answer>;
  /** The names of the calls that change something, in order; and forgets all calls. */
  taken(): readonly string[];
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** What the driver says that it can. */
export interface DriverAbilities {
  readonly controllerRpcs?: readonly number[];
  readonly nodeRpcs?: readonly number[];
  /** Numbers of `VolumeExpansion`. */
  readonly expansions?: readonly number[];
  /** By the number of `PluginCapability.Service`. Defaults to the controller's. */
  readonly services?: readonly number[];
}

/** Serves a driver that keeps nothing but what it published. */
export async function scriptedDriver(socketPath: string, abilities: DriverAbilities = {}): Promise<ScriptedDriver> {
  const {
    controllerRpcs = [1, 2, 3, 4, 5, 6, 7, 8, 9],
    nodeRpcs = [1, 2, 3],
    expansions = [1],
    services = [1],
  } = abilities;
  const calls: DriverCall[] = [];
  const rpcs = (types: readonly number[]) => ({ capabilities: types.map((type) => ({ rpc: { type } })) });
  const answers: ScriptedDriver["answers"] = {
    getPluginInfo: () => ({ name: "scripted.example", vendorVersion: "1" }),
    getPluginCapabilities: () => ({
      capabilities: [
        ...services.map((type) => ({ service: { type } })),
        ...expansions.map((type) => ({ volumeExpansion: { type } })),
      ],
    }),
    probe: () => ({}),
    "controller.getCapabilities": () => rpcs(controllerRpcs),
    "node.getCapabilities": () => rpcs(nodeRpcs),
    getInfo: () => ({ nodeId: "node-1" }),
    createVolume: ({ name, capacityRange, contentSource }: Sparse<Record<string, never>>) => ({
      volume: {
        volumeId: `id-of-${name}`,
        capacityBytes: (capacityRange as { requiredBytes?: number } | undefined)?.requiredBytes,
        volumeContext: { of: "the volume" },
        contentSource,
      },
    }),
    "controller.publishVolume": () => ({ publishContext: { of: "the publication" } }),
    "node.publishVolume": ({ targetPath }: { readonly targetPath: string }) =>
      writeFile(targetPath, "disk").then(() => ({})),
    "node.unpublishVolume": ({ targetPath }: { readonly targetPath: string }) =>
      rm(targetPath, { force: true }).then(() => ({})),
    "controller.expandVolume": ({ capacityRange }: { readonly capacityRange: { readonly requiredBytes: number } }) => ({
      capacityBytes: capacityRange.requiredBytes,
      nodeExpansionRequired: true,
    }),
    getCapacity: () => ({ availableCapacity: 2 ** 40 }),
    createSnapshot: ({ name, sourceVolumeId }: { readonly name: string; readonly sourceVolumeId: string }) => ({
      snapshot: { snapshotId: `id-of-${name}`, sourceVolumeId, readyToUse: true, creationTime: { seconds: 1 } },
    }),
  };
  const services_ = { identity, controller, node };
  const handlers = Object.entries(services_).flatMap(([service, methods]) =>
    Object.entries(methods).map(([name, method]) =>
      handler(method as Method<object, object>, async (request) => {
        calls.push({ name: `${service}.${name}`, request: request as DriverCall["request"] });
        const answer = answers[`${service}.${name}`] ?? answers[name] ?? (() => ({}));
        return (await answer(request as never)) as object;
      }),
    ),
  );
  let server: GrpcServer | undefined;
  const start = async (): Promise<void> => {
    server ??= await serveGrpc({ socketPath, handlers });
  };
  const stop = async (): Promise<void> => {
    await server?.close();
    server = undefined;
  };
  await start();
  return {
    calls,
    answers,
    taken() {
      const names = calls.splice(0).map(({ name }) => name);
      return names.filter((name) => !/identity|get|list|validate/.test(name));
    },
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A failure that a driver answers with. */
export function fails(code: ConstructorParameters<typeof VdcError>[0], text: string = code): Answer {
  return () => {
    throw new VdcError(code, text);
  };
}
