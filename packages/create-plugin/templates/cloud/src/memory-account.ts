import { VdcError } from "@vdc-os/core";
import type { CloudInstance, CloudOperation, CreateInstance } from "@vdc-os/core/cloud/v1";

const accounts = new Map<string, MemoryAccount>();

/**
 * Stands in for an account in the cloud that the plugin is for, until your client of that takes its place. It is in memory, and outlives the plugin as an
 * account does. What is on its way arrives when somebody looks.
 */
export class MemoryAccount {
  readonly region: string = "here";
  readonly sizes: readonly string[] = ["small", "large"];
  readonly images: readonly string[] = ["alpine", "debian"];
  readonly networks: readonly string[] = ["inside", "outside"];
  /** For tests: the next instance is made, and its maker does not hear of it. */
  loseNextAnswer: boolean = false;
  readonly #instances = new Map<string, CloudInstance>();
  readonly #operations = new Map<string, CloudOperation>();
  #made = 0;

  /** The account at an address. */
  static at(address: string): MemoryAccount {
    const account = accounts.get(address) ?? new MemoryAccount();
    accounts.set(address, account);
    return account;
  }

  /** Whether somebody who asks with a token may do so. */
  knows(token: string): boolean {
    return token === "known";
  }

  /** Makes an instance, or finds the one that was made with the token of the stamp: once, however often and by however many it is asked. */
  make({ name, image, size, stamp }: CreateInstance, createdAt: number): CloudInstance {
    const made = this.instances().find((instance) => instance.stamp?.token === stamp.token);
    if (made !== undefined) return made;
    this.#made += 1;
    const instanceId = `i-${this.#made}`;
    const { region } = this;
    const asked = { name, image, size, stamp };
    const instance: CloudInstance = { instanceId, state: "pending", ...asked, region, addresses: [], createdAt };
    this.put(instance);
    if (this.loseNextAnswer) {
      this.loseNextAnswer = false;
      throw new VdcError("UNAVAILABLE", "the cloud did not answer");
    }
    return instance;
  }

  /** Puts an instance there as it is. */
  put(instance: CloudInstance): void {
    this.#instances.set(instance.instanceId, instance);
  }

  /** Begins to remove an instance. What is not there is removed already. */
  remove(instanceId: string): CloudOperation {
    const instance = this.#instances.get(instanceId);
    const operationId = `o-${this.#operations.size}`;
    const operation: CloudOperation = { operationId, state: instance === undefined ? "succeeded" : "running" };
    if (instance !== undefined) this.put({ ...instance, state: "deleting" });
    this.#operations.set(operationId, operation);
    return operation;
  }

  /** How far an operation has come. */
  operation(operationId: string): CloudOperation | undefined {
    this.instances();
    return this.#operations.get(operationId);
  }

  /** Every instance. */
  instances(): readonly CloudInstance[] {
    for (const instance of this.#instances.values()) {
      if (instance.state === "pending") this.put({ ...instance, state: "running" });
      if (instance.state === "deleting") this.#instances.delete(instance.instanceId);
    }
    for (const operation of this.#operations.values()) {
      this.#operations.set(operation.operationId, { ...operation, state: "succeeded" });
    }
    return [...this.#instances.values()];
  }
}
