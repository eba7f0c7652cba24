// Few changes and kills; test/long has many.
import { testCountedValues } from './counted-values.ts';

testCountedValues({ changes: 1_000, kills: 10 });
