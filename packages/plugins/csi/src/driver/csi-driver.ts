import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { Sparse } from "../grpc/message.ts";
import { controller, controllerRpcs } from "../spec/controller-service.ts";
import {
  accessModes,
  type ContentSource,
  type CsiSnapshot,
  type CsiVolume,
  type TextMap,
  type VolumeCapability,
} from "../spec/volume-messages.ts";
import type { DriverConnection, DriverFacts } from "./driver-connection.ts";
import type { SecretValues } from "./secret-values.ts";

/** The longest id that is taken from a driver. The specification has 128 bytes; drivers take their liberties. */
const maxIdLength = 2_048;

/** What a volume is asked to be. */
export interface MakeVolume {
  readonly csiName: string;
  readonly capacityBytes: number;
  readonly parameters: TextMap;
  readonly source?: Sparse<ContentSource> | undefined;
  /** Segments of the topologies it must be reachable from; empty for any. */
  readonly topologies: readonly TextMap[];
}

/** How volumes are used: as block devices, by one owner. */
export function capability(readonly: boolean): Sparse<VolumeCapability> {
  const mode = readonly ? accessModes.singleNodeReaderOnly : accessModes.singleNodeWriter;
  return { block: {}, accessMode: { mode } };
}

/** The controller of a driver, in the terms of this package. What it answers is checked before it is believed. */
export class CsiDriver {
  readonly connection: DriverConnection;
  readonly #secrets: SecretValues;

  constructor(connection: DriverConnection, secrets: SecretValues) {
    this.connection = connection;
    this.#secrets = secrets;
  }

  facts(context: OperationContext): Promise<DriverFacts> {
    return this.connection.facts(context);
  }

  secrets(context: OperationContext): Promise<TextMap> {
    return this.#secrets.resolve(context);
  }

  async can(rpc: keyof typeof controllerRpcs, context: OperationContext): Promise<boolean> {
    return (await this.facts(context)).controllerRpcs.has(controllerRpcs[rpc]);
  }

  /** Throws `UNIMPLEMENTED` when the driver does not say that it can. */
  async must(rpc: keyof typeof controllerRpcs, context: OperationContext): Promise<void> {
    if (await this.can(rpc, context)) return;
    const { name } = await this.facts(context);
    throw new VdcError("UNIMPLEMENTED", `the CSI driver '${name}' does not have capability '${rpc}'`);
  }

  /** Creates a volume; idempotent by name. */
  async makeVolume(input: MakeVolume, context: OperationContext): Promise<CsiVolume> {
    await this.must("createDeleteVolume", context);
    const { csiName, capacityBytes, parameters, source, topologies } = input;
    const { volume } = await this.connection.call(
      controller.createVolume,
      {
        name: csiName,
        capacityRange: { requiredBytes: capacityBytes },
        volumeCapabilities: [capability(false), capability(true)],
        parameters,
        secrets: await this.secrets(context),
        contentSource: source,
        ...(topologies.length === 0
          ? {}
          : { accessibilityRequirements: { requisite: topologies.map((segments) => ({ segments })) } }),
      },
      context,
    );
    if (volume === undefined) throw violation("a volume without its facts");
    checkId(volume.volumeId);
    if (volume.capacityBytes !== 0 && volume.capacityBytes < capacityBytes) {
      await this.removeVolume(volume.volumeId, context);
      throw violation(`a volume of ${volume.capacityBytes} bytes, and at least ${capacityBytes} were asked for`);
    }
    if (source !== undefined && volume.contentSource === undefined) {
      await this.removeVolume(volume.volumeId, context);
      throw violation("a volume that does not say that it has the content it was asked to have");
    }
    return volume;
  }

  async removeVolume(volumeId: string, context: OperationContext): Promise<void> {
    await this.connection.call(controller.deleteVolume, { volumeId, secrets: await this.secrets(context) }, context);
  }

  /**
   * Removes a volume of which only the name is known: a create whose answer never came. CSI has no other way than to create it again.
   */
  async removeNamed(input: MakeVolume, context: OperationContext): Promise<void> {
    let made: CsiVolume;
    try {
      made = await this.makeVolume(input, context);
    } catch (error) {
      if (isFinal(error)) return;
      throw error;
    }
    await this.removeVolume(made.volumeId, context);
  }

  async makeSnapshot(
    input: { readonly csiName: string; readonly csiVolumeId: string },
    context: OperationContext,
  ): Promise<CsiSnapshot> {
    const { snapshot } = await this.connection.call(
      controller.createSnapshot,
      { name: input.csiName, sourceVolumeId: input.csiVolumeId, secrets: await this.secrets(context) },
      context,
    );
    if (snapshot === undefined) throw violation("a snapshot without its facts");
    checkId(snapshot.snapshotId);
    if (snapshot.sourceVolumeId !== input.csiVolumeId) throw violation("a snapshot of another volume");
    return snapshot;
  }

  async removeSnapshot(snapshotId: string, context: OperationContext): Promise<void> {
    await this.connection.call(
      controller.deleteSnapshot,
      { snapshotId, secrets: await this.secrets(context) },
      context,
    );
  }

  /** A snapshot as it is now; `undefined` when it is gone, or the driver does not list any. */
  async findSnapshot(snapshotId: string, context: OperationContext): Promise<CsiSnapshot | undefined> {
    if (!(await this.can("listSnapshots", context))) return undefined;
    const { entries } = await this.connection.call(
      controller.listSnapshots,
      { snapshotId, secrets: await this.secrets(context) },
      context,
    );
    return entries.find(({ snapshot }) => snapshot?.snapshotId === snapshotId)?.snapshot;
  }

  async grow(
    input: { readonly csiVolumeId: string; readonly capacityBytes: number },
    context: OperationContext,
  ): Promise<{ readonly capacityBytes: number; readonly nodeExpansionRequired: boolean }> {
    const answer = await this.connection.call(
      controller.expandVolume,
      {
        volumeId: input.csiVolumeId,
        capacityRange: { requiredBytes: input.capacityBytes },
        secrets: await this.secrets(context),
        volumeCapability: capability(false),
      },
      context,
    );
    if (answer.capacityBytes >= input.capacityBytes) return answer;
    throw violation(`a size of ${answer.capacityBytes} bytes, and at least ${input.capacityBytes} were asked for`);
  }
}

/** Whether a failed create has surely made nothing. Otherwise its outcome is unknown, and it is repeated or undone later. */
export function isFinal(error: unknown): boolean {
  return (
    isVdcError(error) &&
    ((error.reason === "VDC_CSI_STATUS" &&
      !["CANCELLED", "UNKNOWN", "INTERNAL"].includes(error.code) &&
      !isPassing(error)) ||
      error.code === "UNIMPLEMENTED" ||
      error.reason === "VDC_CSI_VIOLATION")
  );
}

function isPassing({ code }: VdcError): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" || code === "ABORTED";
}

function checkId(id: string): void {
  if (id === "" || id.length > maxIdLength) throw violation(`an id of ${id.length} characters`);
}

function violation(what: string): VdcError {
  return new VdcError("INTERNAL", `the CSI driver breaks the specification: it answers with ${what}`, {
    reason: "VDC_CSI_VIOLATION",
  });
}
