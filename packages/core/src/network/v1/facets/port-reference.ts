import type { z } from "zod";
import { identifier } from "../../../contract/ownership.ts";

/** Names a port. */
export interface PortReference {
  readonly switchId: string;
  readonly portKey: string;
}

/** The shape of {@link PortReference}. */
export const portReferenceShape: { readonly switchId: z.ZodType<string>; readonly portKey: z.ZodType<string> } = {
  switchId: identifier,
  portKey: identifier,
};
