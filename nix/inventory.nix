# An inventory in the words of clan as it was (`machines.<machine>.config`), in those of clan as it is
# (`machines.<machine>.settings`). One that has them already stays as it is.
inventory:
let
  change = f: set: builtins.mapAttrs (_: f) set;
  at = key: f: set: if set ? ${key} then set // { ${key} = change f set.${key}; } else set;
  machine = { config ? { }, settings ? { }, ... }@given:
    removeAttrs given [ "config" ] // (if given ? config || given ? settings then { settings = config // settings; } else { });
in
at "instances" (at "roles" (at "machines" machine)) inventory
