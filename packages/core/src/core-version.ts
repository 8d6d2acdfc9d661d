/** The version of this package. */
export const coreVersion = "0.1.0";
