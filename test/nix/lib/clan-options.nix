# The option of clan that nix/ sets, as clan-core's nixosModules/clanCore/vars declares it.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  text = default: mkOption { type = types.str; inherit default; };
  on = mkOption { type = types.bool; default = true; };
in
{
  options.clan.core.vars.generators = mkOption {
    default = { };
    type = types.attrsOf (types.submodule ({ name, ... }: let generator = name; in {
      options = {
        script = text "";
        runtimeInputs = mkOption { type = types.listOf types.unspecified; default = [ ]; };
        files = mkOption {
          default = { };
          type = types.attrsOf (types.submodule ({ name, ... }: {
            options = { secret = on; deploy = on; mode = text "0400"; path = text "/run/secrets/vars/${generator}/${name}"; };
          }));
        };
      };
    }));
  };
}
