{
  description = "Secrets for microVMs: NixOS modules and a clan service";
  outputs = _: import ./default.nix;
}
