import { z } from "zod";
import { schemaOf } from "../schema/schema-of.ts";

/**
 * Who made an object, stamped on it in the same call that creates it, so that what a crash left behind can be told from what
 * somebody else made. Whoever sweeps deletes only what its own stamp names.
 */
export interface OwnerStamp {
  /** The datacenter's uid. */
  readonly datacenter: string;
  readonly tenant: string;
  /** Kind, name and uid of the inventory object it was made for. */
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** Schema of {@link OwnerStamp}. */
export const ownerStamp: z.ZodType<OwnerStamp> = schemaOf<OwnerStamp>()(
  z.object({
    datacenter: z.string(),
    tenant: z.string(),
    kind: z.string(),
    name: z.string(),
    uid: z.string(),
  }),
);

/**
 * How a provider keeps an old owner out after `revoke`.
 *
 * - `enforced`: the data path itself checks the attachment generation and refuses an older one.
 * - `detach`: the old owner's path is cut, but nothing checks a generation; a cut that cannot be confirmed fails the revoke.
 * - `none`: nothing keeps it out. High availability and Fault Tolerance refuse such a provider, with that reason.
 */
export type FencingStrength = "enforced" | "detach" | "none";

/** Schema of {@link FencingStrength}. */
export const fencingStrength: z.ZodType<FencingStrength> = z.enum(["enforced", "detach", "none"]);

/**
 * An attachment generation: 1 or more, and higher for each new owner of a volume, a port or a VM. Each object has exactly one
 * owner. A call with a lower generation than the highest that the provider has seen for the object fails with
 * `FAILED_PRECONDITION`, reason `VDC_FENCED`.
 */
export type Generation = number;

/** Schema of {@link Generation}. */
export const generation: z.ZodType<Generation> = z.int().positive();

/** Schema of an object name: 1 to 63 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit. */
export const objectName: z.ZodType<string> = z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/);

/** Schema of an identifier that a provider gave out. */
export const identifier: z.ZodType<string> = z.string().min(1).max(256);

/** Schema of an operation's result that carries nothing. */
export const nothing: z.ZodType<void> = z.void();
