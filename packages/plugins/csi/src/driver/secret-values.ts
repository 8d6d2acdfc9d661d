import { type Handle, type OperationContext, VdcError } from "@vdc-os/core";
import type { SecretRef, SecretStore } from "@vdc-os/core/secret/v1";
import type { TextMap } from "../spec/volume-messages.ts";

/** The secrets that a driver gets: resolved for each call, and kept nowhere. */
export class SecretValues {
  readonly #references: Readonly<Record<string, SecretRef>>;
  readonly #store: Handle<SecretStore> | undefined;

  constructor(references: Readonly<Record<string, SecretRef>>, store: Handle<SecretStore> | undefined) {
    if (store === undefined && Object.keys(references).length > 0) {
      throw new VdcError("FAILED_PRECONDITION", "the CSI driver needs secrets, and there is no secret store");
    }
    this.#references = references;
    this.#store = store;
  }

  async resolve(context: OperationContext): Promise<TextMap> {
    const values: Record<string, string> = {};
    for (const [key, reference] of Object.entries(this.#references)) {
      values[key] = (await (this.#store as Handle<SecretStore>).resolve(reference, context)).value;
    }
    return values;
  }
}
