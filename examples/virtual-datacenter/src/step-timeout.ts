/** How long any one step may take, in milliseconds: a guest boots in seconds, and in minutes where others use the machine and its processor is emulated. */
export const stepTimeoutMs = 180_000;
