export const ROOT: string;
export function prepare(): void;
export function build(): void;
