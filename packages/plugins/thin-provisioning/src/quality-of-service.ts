import type { OperationContext } from "@vdc-os/core";
import type { QosFacet, QosPolicy } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import type { ThinPool } from "./thin-pool.ts";

const unlimited: QosPolicy = { iops: 0, bytesPerSecond: 0 };

/** Facet `qos`: the record says what was asked, and the storage process holds each owner to it. */
export class QualityOfService implements QosFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async setQos(
    { volumeId, policy }: { readonly volumeId: string; readonly policy: QosPolicy },
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    const { catalog } = this.#pool;
    const entry = catalog.get(volumeId);
    await catalog.update(entry, (record) => ({ ...record, qos: policy }));
    await this.#pool.refresh(entry, context);
  }

  async getQos({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<QosPolicy> {
    const entry = this.#pool.catalog.get(volumeId);
    const inForce = (await this.#pool.refresh(entry, context)) as { readonly qos: QosPolicy } | undefined;
    return inForce?.qos ?? entry.record.qos ?? unlimited;
  }
}
